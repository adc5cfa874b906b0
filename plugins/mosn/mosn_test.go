package mosn

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/framework/mosn"
	"mosn.io/moe/framework/network/networktest"
)

func TestRegistered(t *testing.T) {
	want := []string{
		"header_to_metadata", "ip_access", "payload_limit", "gzip", "fault", "fault_tolerance", "flowControlFilter", "dsl",
		"jwt_authn", "rbac", "proxywasm",
	}
	var lacks []string
	for _, typ := range want {
		if !slices.Contains(mosn.Types(), typ) {
			lacks = append(lacks, typ)
		}
	}
	if len(lacks) > 0 {
		t.Errorf("not registered: %q; registered are %q", lacks, mosn.Types())
	}
}

// TestFaultInject has MOSN's network filter delay what a client sends.
func TestFaultInject(t *testing.T) {
	f, err := networktest.New[mosn.NetworkFilters](t, `{"network_filters": [{"type": "fault_inject",
		"config": {"delay_percent": 100, "delay_duration": "50ms"}}]}`)
	if err != nil {
		t.Fatalf("networktest.New: %v", err)
	}
	c := f.Connect(networktest.Peer{})
	began := time.Now()
	c.FromClient("ping")
	c.Eventually("the bytes", func() bool { return c.ToUpstream() == "ping" })
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("the bytes have passed after %v, want 50ms", took)
	}
	_, err = networktest.New[mosn.NetworkFilters](t, `{"network_filters": [{"type": "fault_inject",
		"config": {"delay_percents": 100}}]}`)
	if err == nil || !strings.Contains(err.Error(), `did you mean "delay_percent"?`) {
		t.Errorf("the error is %v, want one that names the field", err)
	}
}

// TestSpeltWrong has the name of payload_limit's field without the blank at its end, which MOSN takes for no limit.
func TestSpeltWrong(t *testing.T) {
	err := (&filtertest.Host{}).Load(t, filtertest.Config{Name: "mosn", JSON: `{"stream_filters": [
		{"type": "payload_limit", "config": {"max_entity_size": 10, "http_status": 413}}]}`})
	if err == nil || !strings.Contains(err.Error(), `did you mean "max_entity_size "?`) {
		t.Errorf("the error is %v, want one that names the field with the blank", err)
	}
}

// TestProxyWasm runs a Wasm file of MOSN's, which sets a header of the request, in the engine that is linked in.
func TestProxyWasm(t *testing.T) {
	folder, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "mosn.io/mosn").Output()
	if err != nil {
		t.Fatalf("cannot find MOSN's files: %v", err)
	}
	h := filtertest.New(t, filtertest.Config{Name: "mosn", JSON: fmt.Sprintf(`{"stream_filters": [{"type": "proxywasm",
		"config": {"instance_num": 1, "vm_config": {"engine": "wazero", "path": "%s/etc/wasm/filter.wasm"}}}]}`,
		strings.TrimSpace(string(folder)))})
	if r := h.Get("/"); r.Status != 200 || r.Upstream.Header.Get("Go-Wasm-Header") != "hello wasm" {
		t.Errorf("status %d, upstream got Go-Wasm-Header %q; want 200 and %q", r.Status,
			r.Upstream.Header.Get("Go-Wasm-Header"), "hello wasm")
	}
}

// TestUnknownWasmEngine has the factory refuse an engine that is not linked in.
func TestUnknownWasmEngine(t *testing.T) {
	err := (&filtertest.Host{}).Load(t, filtertest.Config{Name: "mosn", JSON: `{"stream_filters": [{"type": "proxywasm",
		"config": {"vm_config": {"engine": "wasmer", "path": "/filter.wasm"}}}]}`})
	if err == nil || !strings.Contains(err.Error(), "stream_filters[0]") {
		t.Errorf("the error is %v, want one of stream_filters[0]", err)
	}
}
