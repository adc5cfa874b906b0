package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"mosn.io/moe/bench/internal/figures"
)

// variant is a server and what Envoy sends it.
type variant struct {
	name, server string // server: what -serve is given, or "" for no filter
	module       string // the plugin that libmoe.so runs
	beside       string // the variant that it is compared with
	both         bool   // request and response headers, not the response's alone

	cmd      *exec.Cmd
	at, addr string
	micros   []float64
	rates    []float64
	envoy    []float64 // µs of CPU of Envoy's for each request
	waits    []float64 // µs from a request to the next of a connection
	rss      int64
	requests int
}

func variants() []*variant {
	return []*variant{
		{name: "none"},
		{name: "libmoe", module: "hello"},
		{name: "libmoe-both", module: "headermutation"},
		{name: "minimal", server: "minimal", beside: "minimal"},
		{name: "moe", server: "moe", beside: "minimal"},
		{name: "minimal-both", server: "minimal-both", beside: "minimal-both", both: true},
		{name: "moe-both", server: "moe-both", beside: "minimal-both", both: true},
	}
}

func (v *variant) greeted() bool { return v.server != "" || v.module != "" }

func (v *variant) start() error {
	v.cmd = exec.Command(os.Args[0], "-serve", v.server)
	v.cmd.Stderr = os.Stderr
	if _, err := v.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := v.cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	v.at = strings.TrimSpace(line)
	return err
}

func (v *variant) stop() {
	v.cmd.Process.Kill()
	v.cmd.Wait()
}

// cpu is what all threads of the server have used.
func (v *variant) cpu() (total time.Duration, err error) {
	if v.cmd == nil {
		return 0, nil
	}
	return figures.CPU(v.cmd.Process.Pid)
}

func (v *variant) memory() int64 {
	if v.cmd == nil {
		return 0
	}
	p, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", v.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(string(bytes.Fields(p)[1]), 10, 64)
	return n * int64(os.Getpagesize())
}

type m = map[string]any

// config is Envoy's: a listener for each variant, which answers itself.
func config(all []*variant) ([]byte, error) {
	var listeners, clusters []any
	for _, v := range all {
		filters := []any{m{"name": "router", "typed_config": m{
			"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
		}}}
		if v.module != "" {
			filters = append([]any{inProcess(v.module)}, filters...)
		}
		if v.server != "" {
			request := "SKIP"
			if v.both {
				request = "SEND"
			}
			filters = append([]any{m{"name": "ext_proc", "typed_config": m{
				"@type":           "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
				"grpc_service":    m{"envoy_grpc": m{"cluster_name": v.name}},
				"message_timeout": "5s",
				"processing_mode": m{"request_header_mode": request, "response_header_mode": "SEND"},
			}}}, filters...)
			host, port, _ := strings.Cut(v.at, ":")
			n, _ := strconv.Atoi(port)
			clusters = append(clusters, m{
				"name": v.name, "type": "STATIC", "load_assignment": m{
					"cluster_name": v.name,
					"endpoints":    []any{m{"lb_endpoints": []any{m{"endpoint": m{"address": address(host, n)}}}}},
				},
				"typed_extension_protocol_options": m{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": m{
					"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
					"explicit_http_config": m{"http2_protocol_options": m{}},
				}},
			})
		}
		listeners = append(listeners, m{"name": v.name, "address": address("127.0.0.1", 0), "filter_chains": []any{m{
			"filters": []any{m{"name": "hcm", "typed_config": m{
				"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3." +
					"HttpConnectionManager",
				"stat_prefix": v.name, "http_filters": filters,
				"route_config": m{"virtual_hosts": []any{m{"name": "all", "domains": []any{"*"}, "routes": []any{m{
					"match": m{"prefix": "/"}, "direct_response": m{"status": 200, "body": m{"inline_string": "ok"}},
				}}}}},
			}}},
		}}})
	}
	return json.Marshal(m{
		"admin":            m{"address": address("127.0.0.1", 0)},
		"static_resources": m{"listeners": listeners, "clusters": clusters},
	})
}

// inProcess is the filter of libmoe.so with a plugin that does what the servers do.
func inProcess(plugin string) m {
	config := m{}
	if plugin == "headermutation" {
		config = m{"request": m{"set": m{"x-user-id": "%REQ(x-bench)%"}}, "response": m{"set": m{name: value}}}
	}
	return m{"name": "moe", "typed_config": m{
		"@type":                 "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
		"dynamic_module_config": m{"name": "moe", "do_not_close": true},
		"filter_name":           plugin,
		"filter_config":         m{"@type": "type.googleapis.com/google.protobuf.Struct", "value": config},
	}}
}

func address(host string, port int) m {
	return m{"socket_address": m{"address": host, "port_value": port}}
}
