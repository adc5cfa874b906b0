package mosn

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
)

// mosnFolder is where the module cache has MOSN, whose Wasm files and example configurations are inputs of these tests.
var mosnFolder = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "mosn.io/mosn").Output()
	return strings.TrimSpace(string(out)), err
})

// wasmFile is a configuration of proxywasm with a file of MOSN's.
func wasmFile(file string) string {
	folder, err := mosnFolder()
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`[{"type": "proxywasm", "config": {"instance_num": 1, "user": "alice",
		"vm_config": {"engine": "wazero", "path": "%s/%s"}}}]`, folder, file)
}

// proxyWasm are configurations of proxywasm. Of MOSN's files, one is compiled from C++ and two are from Go.
func proxyWasm() []configuration {
	requests := []request{
		{name: "get", path: "/echo?h=x-a:1", header: []string{"x-b", "2"}},
		{name: "post", method: "POST", path: "/echo", body: "text", header: []string{"content-type", "text/plain"}},
		{name: "a field that it looks for", path: "/echo", header: []string{"requestHeaderKey1", "v", "requestHeaderKey3", "w"}},
	}
	changed := slices.Clone(requests)
	changed[1].asHTTP1 = true // over HTTP/2, MOSN sends the length of the body before the filter
	return []configuration{
		{name: "proxywasm: sets a header", filters: wasmFile("etc/wasm/filter.wasm"), requests: requests},
		{name: "proxywasm: in C++", filters: wasmFile("pkg/filter/stream/proxywasm/data/test-c.wasm"), requests: requests},
		{name: "proxywasm: in Go", filters: wasmFile("pkg/filter/stream/proxywasm/data/test-go.wasm"), requests: changed},
	}
}
