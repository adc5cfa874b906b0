package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mosn.io/moe/internal/envoy"
)

// Envoy itself checks the configuration of every variant that needs no module, and of the bare C module.
func TestEnvoyAcceptsConfigurations(t *testing.T) {
	root, err := moduleRoot(t.Context())
	if err != nil {
		t.Fatalf("moduleRoot: %v", err)
	}
	path, err := envoy.Find("")
	if err != nil {
		t.Fatalf("envoy.Find: %v", err)
	}
	dir := t.TempDir()
	if err := buildBare(t.Context(), root, filepath.Join(dir, "libbare.so")); err != nil {
		t.Fatalf("buildBare: %v", err)
	}
	for _, distinct := range []bool{true, false} {
		t.Run(fmt.Sprintf("distinct=%v", distinct), func(t *testing.T) {
			h := &host{envoy: path, modules: dir, names: setHeaders{distinct}}
			for _, v := range variants(h.names) {
				if v.module != "" && v.module != "bare" {
					continue
				}
				o, err := h.options(v, 1, distinct)
				if err != nil {
					t.Fatalf("h.options: %v", err)
				}
				if err := envoy.Validate(t.Context(), o); err != nil {
					t.Errorf("%s: envoy.Validate: %v", v.name, err)
				}
			}
		})
	}
}

// The whole way, once: an Envoy starts, has done its work, is loaded and measured, and stops.
func TestMeasure(t *testing.T) {
	path, err := envoy.Find("")
	if err != nil {
		t.Fatalf("envoy.Find: %v", err)
	}
	h := &host{envoy: path, modules: t.TempDir(), names: setHeaders{true}}
	t.Cleanup(func() {
		if err := h.stop(); err != nil {
			t.Errorf("h.stop: %v", err)
		}
	})
	s := settings{Launches: 2, Rounds: 2, Slice: 20e6, Conns: 2, Depth: 2, Memory: 100}
	vs := choose(variants(h.names), regexp.MustCompile("^native-ten$"))
	var r report
	if err := r.fill(t.Context(), h, s, vs, memoryVariants()[:1]); err != nil {
		t.Fatalf("r.fill: %v", err)
	}
	if len(r.Variants) != 2 || len(r.Variants[1].Launches) != 2 || len(r.Variants[1].Launches[1]) != 2 || len(h.started) != 1 {
		t.Fatalf("%d variants, %+v", len(r.Variants), r)
	}
	for _, v := range r.Variants {
		if v.Worker <= 0 || v.Launches[1][0][0].Requests < 2 {
			t.Errorf("v.Worker = %v, want more than 0; v.Launches[1][0][0].Requests = %d, want at least 2: %+v",
				v.Worker, v.Launches[1][0][0].Requests, v)
		}
	}
	if m := r.Memory; len(m) != 1 || m[0].Start < 1<<20 || m[0].Peak < m[0].End {
		t.Errorf("memory: %+v", m)
	}
	if _, err := json.Marshal(&r); err != nil {
		t.Errorf("json.Marshal: %v", err)
	}
}

func TestCheck(t *testing.T) {
	names := setHeaders{true}
	v := variant{headers: 2}
	good := http.Header{}
	for i := range v.headers {
		_, response := names.names(i)
		good.Set(fmt.Sprintf("x-seen-%d", i), value)
		good.Set(response, "1")
	}
	if err := check(&http.Response{StatusCode: 200, Header: good}, v, names); err != nil {
		t.Errorf("check: %v", err)
	}
	for key := range good {
		bad := good.Clone()
		bad.Del(key)
		if err := check(&http.Response{StatusCode: 200, Header: bad}, v, names); err == nil {
			t.Errorf("a response without %s passes", key)
		}
	}
	if err := check(&http.Response{StatusCode: 503, Header: good}, v, names); err == nil {
		t.Error("status 503 passes")
	}
}

func TestVariantNames(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range variants(setHeaders{true}) {
		if seen[v.name] || v.what == "" || strings.ContainsAny(v.name, "/ ") {
			t.Errorf("variant %q (%s)", v.name, v.what)
		}
		seen[v.name] = true
		if v.module != "" && modules[v.module] == nil {
			t.Errorf("%s needs module %s, which is not built", v.name, v.module)
		}
	}
	if vs := variants(setHeaders{false}); vs[3].name != "c-ten" || vs[3].headers != 1 {
		t.Errorf("ten filters that set the same headers leave %d", vs[3].headers)
	}
}

func TestEnvoyVersion(t *testing.T) {
	const out = "\n.envoy/1.39.3/envoy  version: 3d1ee3d/1.39.3/Clean/RELEASE/BoringSSL\n\n"
	if got := envoyVersion(out); got != "1.39.3" {
		t.Errorf("envoyVersion(out) = %q, want %q", got, "1.39.3")
	}
	if got := envoyVersion("other"); got != "" {
		t.Errorf(`envoyVersion("other") = %q, want %q`, got, "")
	}
	if cpuModel() == "" {
		t.Error("no CPU")
	}
	if _, err := os.Stat("/proc/self/schedstat"); err != nil {
		t.Errorf("os.Stat: %v", err)
	}
}
