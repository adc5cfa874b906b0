package bridge

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/e2e/envoytest"
)

// upstreamAPI returns the folder of upstream's api.h.
func upstreamAPI(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/envoyproxy/envoy").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "contrib", "golang", "common", "go", "api")
}

// TestExports compares the functions that the bridge defines with those that, by upstream's header, libraries call.
func TestExports(t *testing.T) {
	header, err := os.ReadFile(filepath.Join(upstreamAPI(t), "api.h"))
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	var want []string
	functions := regexp.MustCompile(`\benvoyGo(?:FilterHttp|ConfigHttp|FilterLog)\w*\b`)
	for _, f := range functions.FindAllString(string(header), -1) {
		if !slices.Contains(want, f) {
			want = append(want, f)
		}
	}
	if len(want) != 34 {
		t.Errorf("upstream's header has %d functions, want 34: %q", len(want), want)
	}
	want = append(want, "golang_bridge_limits") // the bridge's own, for MoE
	slices.Sort(want)
	dir := t.TempDir()
	envoytest.Bridge(t, dir)
	f, err := elf.Open(filepath.Join(dir, "libgolang_bridge.so"))
	if err != nil {
		t.Fatalf("elf.Open: %v", err)
	}
	defer f.Close()
	symbols, err := f.DynamicSymbols()
	if err != nil {
		t.Fatalf("f.DynamicSymbols: %v", err)
	}
	var got []string
	for _, s := range symbols {
		switch {
		case s.Section == elf.SHN_UNDEF || strings.HasPrefix(s.Name, "envoy_dynamic_module_on_"):
		default:
			got = append(got, s.Name)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the functions that the bridge exports, and those that upstream's header has (-want +got):\n%s", diff)
	}
}

// layouts compares the layouts of what each side reads in the other's memory.
const layouts = `
#include <cstddef>
#include "api.h"
#include "golang.h"
#include "lane.h"
#define SAME(ours, field, theirs, other) \
  static_assert(offsetof(ours, field) == offsetof(theirs, other) && sizeof(ours::field) == sizeof(theirs::other))
using namespace bridge;
static_assert(sizeof(GoRequest) == sizeof(httpRequest) && sizeof(GoState) == sizeof(processState) &&
              sizeof(GoConfig) == sizeof(httpConfig));
static_assert(offsetof(GoRequest, plugin_name) == offsetof(httpRequest, plugin_name) + offsetof(Cstring, data));
static_assert(offsetof(GoRequest, plugin_name_length) == offsetof(httpRequest, plugin_name) + offsetof(Cstring, len));
SAME(GoRequest, config_id, httpRequest, configId);
SAME(GoRequest, worker_id, httpRequest, worker_id);
SAME(GoRequest, logging, httpRequest, is_golang_processing_log);
SAME(GoState, request, processState, req);
SAME(GoState, encoding, processState, is_encoding);
SAME(GoState, state, processState, state);
SAME(GoConfig, plugin_name, httpConfig, plugin_name_ptr);
SAME(GoConfig, plugin_name_length, httpConfig, plugin_name_len);
SAME(GoConfig, config, httpConfig, config_ptr);
SAME(GoConfig, config_length, httpConfig, config_len);
SAME(GoConfig, route, httpConfig, is_route_config);
SAME(GoConfig, concurrency, httpConfig, concurrency);
#define RESULT(ours, theirs) static_assert(static_cast<int>(Result::ours) == theirs)
RESULT(Ok, CAPIOK);
RESULT(Gone, CAPIFilterIsGone);
RESULT(Destroyed, CAPIFilterIsDestroy);
RESULT(NotInGo, CAPINotInGo);
RESULT(BadPhase, CAPIInvalidPhase);
RESULT(NotFound, CAPIValueNotFound);
RESULT(Yield, CAPIYield);
RESULT(Failed, CAPIInternalFailure);
RESULT(CannotSerialize, CAPISerializationFailure);
RESULT(BadScene, CAPIInvalidScene);
RESULT(BadAddress, CAPIInvalidIPAddress);
static_assert(Set == 0 && Append == 1 && Prepend == 2 && HeaderSet == 0 && HeaderAdd == 1);
`

func TestLayouts(t *testing.T) {
	root, err := envoytest.Root()
	if err != nil {
		t.Fatalf("envoytest.Root: %v", err)
	}
	cmd := exec.Command("c++", "-std=c++17", "-fsyntax-only", "-x", "c++",
		"-I"+upstreamAPI(t), "-I"+filepath.Join(root, "bridge"), "-")
	cmd.Stdin = strings.NewReader(layouts)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("bridge/golang.h and upstream's api.h differ: %v\n%s", err, out)
	}
}
