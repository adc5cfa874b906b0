package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// variant is a way to limit requests.
type variant struct {
	name   string
	limits bool // requests are counted
	each   bool // each has a round trip to Redis
	filter func(redis string) m

	addr                 string
	waits, micros, rates []float64
}

type m = map[string]any

func variants() []*variant {
	return []*variant{
		{name: "none", filter: func(string) m { return nil }},
		{name: "service", limits: true, each: true, filter: func(string) m {
			return typed("envoy.filters.http.ratelimit", httpFilters+"ratelimit.v3.RateLimit", m{
				"domain": "bench", "failure_mode_deny": true, "timeout": "5s",
				"rate_limit_service": m{"transport_api_version": "V3", "grpc_service": m{"envoy_grpc": m{"cluster_name": "service"}}},
			})
		}},
		{name: "moe", limits: true, filter: func(redis string) m { return plugin(redis, m{}) }},
		{name: "moe-each", limits: true, each: true, filter: func(redis string) m { return plugin(redis, m{"precharge": 0}) }},
	}
}

const (
	extensions  = "type.googleapis.com/envoy.extensions."
	httpFilters = extensions + "filters.http."
)

func typed(name, url string, config m) m {
	config["@type"] = url
	return m{"name": name, "typed_config": config}
}

func plugin(redis string, more m) m {
	more["addresses"], more["timeout"], more["onFailure"] = []any{redis}, "5s", "closed"
	return typed("moe", httpFilters+"dynamic_modules.v3.DynamicModuleFilter", m{
		"dynamic_module_config": m{"name": "moe", "do_not_close": true}, "filter_name": "ratelimit",
		"filter_config": m{"@type": "type.googleapis.com/google.protobuf.Struct", "value": m{
			"headers": "none", "redis": more, "rules": []any{m{"limit": 10_000_000, "per": "1s"}},
		}},
	})
}

// config is Envoy's: a listener for each variant, and one at upstream to which they forward: Envoy asks the service about no
// request that it answers itself.
func config(all []*variant, redis, service, upstream string) ([]byte, error) {
	listeners := []any{listener("upstream", upstream, nil, m{
		"match": m{"prefix": "/"}, "direct_response": m{"status": 200, "body": m{"inline_string": "ok"}},
	})}
	for _, v := range all {
		var filters []any
		if f := v.filter(redis); f != nil {
			filters = append(filters, f)
		}
		listeners = append(listeners, listener(v.name, "127.0.0.1:0", filters, m{"match": m{"prefix": "/"}, "route": m{
			"cluster": "upstream", "rate_limits": []any{m{"actions": []any{m{"generic_key": m{"descriptor_value": "all"}}}}},
		}}))
	}
	return json.Marshal(m{
		"admin": m{"address": address("127.0.0.1:0")},
		"static_resources": m{"listeners": listeners, "clusters": []any{
			cluster("upstream", upstream, "http_protocol_options"), cluster("service", service, "http2_protocol_options"),
		}},
	})
}

func listener(name, addr string, filters []any, route m) m {
	filters = append(filters, typed("router", httpFilters+"router.v3.Router", m{}))
	return m{"name": name, "address": address(addr), "filter_chains": []any{m{"filters": []any{
		typed("hcm", extensions+"filters.network.http_connection_manager.v3.HttpConnectionManager", m{
			"stat_prefix": name, "http_filters": filters,
			"route_config": m{"virtual_hosts": []any{m{"name": "all", "domains": []any{"*"}, "routes": []any{route}}}},
		}),
	}}}}
}

func cluster(name, addr, protocol string) m {
	return m{
		"name": name, "type": "STATIC", "load_assignment": m{"cluster_name": name, "endpoints": []any{
			m{"lb_endpoints": []any{m{"endpoint": m{"address": address(addr)}}}},
		}},
		"typed_extension_protocol_options": m{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": m{
			"@type": extensions + "upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": m{protocol: m{}},
		}},
	}
}

func address(addr string) m {
	host, text, _ := net.SplitHostPort(addr)
	n, _ := strconv.Atoi(text)
	return m{"socket_address": m{"address": host, "port_value": n}}
}

// load sends requests over connections, one after the other on each, and returns how many were answered with 200.
func load(addr string, conns int, length time.Duration) (int, error) {
	var wg sync.WaitGroup
	var total atomic.Int64
	var failed atomic.Value
	deadline := time.Now().Add(length)
	for range conns {
		wg.Go(func() {
			n, err := one(addr, deadline)
			total.Add(int64(n))
			if err != nil {
				failed.Store(err)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, err.(error)
	}
	return int(total.Load()), nil
}

func one(addr string, deadline time.Time) (n int, err error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for time.Now().Before(deadline) {
		if _, err := io.WriteString(c, "GET /path HTTP/1.1\r\nhost: bench.test\r\nuser-agent: bench\r\naccept: */*\r\n\r\n"); err != nil {
			return n, err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return n, err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return n, err
		}
		if resp.StatusCode != 200 {
			return n, fmt.Errorf("status %d, want 200", resp.StatusCode)
		}
		n++
	}
	return n, nil
}
