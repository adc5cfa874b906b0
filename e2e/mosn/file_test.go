package mosn

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

func parsed(text string) (v any) {
	d := json.NewDecoder(strings.NewReader(text))
	if err := d.Decode(&v); err != nil {
		panic(fmt.Sprintf("%s: %v", text, err))
	}
	return v
}

// write writes a mosn_config.json that has a listener for each configuration, before an upstream. It returns the file and
// the listeners' addresses by the configurations' names.
func write(dir, upstream string, all []configuration) (file string, addrs map[string]string, err error) {
	addrs = map[string]string{}
	var listeners, routers []any
	for _, c := range all {
		addr, err := freeAddr()
		if err != nil {
			return "", nil, err
		}
		addrs[c.name] = addr
		listeners = append(listeners, c.mosnListener(addr))
		routers = append(routers, c.mosnRouter())
	}
	text, err := json.MarshalIndent(m{
		"close_graceful": true,
		"servers": []any{m{
			"default_log_path": filepath.Join(dir, "mosn.log"), "default_log_level": "WARN",
			"routers": routers, "listeners": listeners,
		}},
		"cluster_manager": m{"clusters": []any{m{
			"name": "servers", "type": "SIMPLE", "lb_type": "LB_RANDOM", "hosts": []any{m{"address": upstream}},
		}}},
	}, "", " ")
	if err != nil {
		return "", nil, err
	}
	file = filepath.Join(dir, "mosn_config.json")
	return file, addrs, os.WriteFile(file, text, 0o644)
}

// mosnListener is the configuration's listener.
func (c configuration) mosnListener(addr string) m {
	return m{
		"name": c.name, "address": addr, "bind_port": true, "stream_filters": parsed(c.filters),
		"filter_chains": []any{m{"filters": []any{m{"type": "proxy", "config": m{
			"downstream_protocol": "Auto", "upstream_protocol": "Auto", "router_config_name": c.name,
		}}}}},
	}
}

// mosnRouter is the configuration's router.
func (c configuration) mosnRouter() m {
	var routes []any
	for _, r := range c.routes {
		routes = append(routes, m{
			"match": m{"prefix": r.prefix}, "route": m{"cluster_name": "servers"}, "per_filter_config": parsed(r.perFilter),
		})
	}
	routes = append(routes, m{"match": m{"prefix": "/"}, "route": m{"cluster_name": "servers"}})
	return m{"router_config_name": c.name, "virtual_hosts": []any{m{
		"name": c.name, "domains": []any{"*"}, "routers": routes,
	}}}
}

var addresses atomic.Int64

// freeAddr returns an address that nobody listens on, with an IP of its own: until something listens there, a connection of
// another program's may take a port of 127.0.0.1.
func freeAddr() (string, error) {
	n := addresses.Add(1)
	ln, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 64+os.Getpid()%64, n/250, n%250+1))
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}
