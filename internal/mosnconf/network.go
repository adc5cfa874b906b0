package mosnconf

import (
	"mosn.io/moe/framework/config"
)

// proxies are the network filters of MOSN's that end a chain, with what they become.
var proxies = map[string]func(c *converter, path, listenerPath string, l *listener, f *networkFilter) obj{
	"proxy":     (*converter).connectionManager,
	"tcp_proxy": func(c *converter, path, _ string, l *listener, f *networkFilter) obj { return c.tcpProxy(path, l, f) },
}

// without are the network filters of MOSN's that are nothing without MOSN, with what to do.
var without = map[string]string{
	"udp_proxy": "write a UDP listener with Envoy's udp_proxy",
	"tunnel":    "a tunnel is a connection between two MOSNs",
	"grpc":      "it is a gRPC server within MOSN; let the server listen, and route to it",
}

// networkFilters converts the filters of a chain. Those before its proxy are the network filter "mosn", which runs them. The
// result is nil where the chain cannot be converted.
func (c *converter) networkFilters(path, listenerPath string, l *listener, chain *filterChain) list {
	for i, f := range chain.Filters { // the proxy may stand before what it refers to
		if f.Type == "connection_manager" {
			c.inlineRouter(index(path+".filters", i), &f)
		}
	}
	var before, out list
	proxy := "" // where it is
	for i, f := range chain.Filters {
		at := index(path+".filters", i)
		convert, ends := proxies[f.Type]
		switch reason, refused := without[f.Type]; {
		case f.Type == "connection_manager": // the routers of a proxy, in older configurations; see above
		case refused:
			c.fail(at+".type", "network filter %q has no counterpart in Envoy: %s", f.Type, reason)
			return nil
		case proxy != "":
			c.fail(at+".type", "network filter %q stands behind the proxy in %s, where no bytes come; put it before", f.Type, proxy)
			return nil
		case ends:
			proxy = at
			filter := convert(c, at, listenerPath, l, &f)
			if filter == nil {
				return nil
			}
			if before != nil {
				out = append(out, networkModule(before))
			}
			out = append(out, filter)
		default:
			one := obj{"type": f.Type}
			if f.Config != nil {
				one["config"] = f.Config
			}
			before = append(before, one)
		}
	}
	switch {
	case len(chain.Filters) == 0:
		c.fail(path+".filters", "is empty, so connections have no end")
	case proxy == "" && !c.misspelt(path, chain.Filters):
		c.fail(path+".filters", "has neither a proxy nor a tcp_proxy, so connections have no end")
	}
	return out
}

// misspelt reports filters that may have been meant for a proxy.
func (c *converter) misspelt(path string, filters []networkFilter) (found bool) {
	for i, f := range filters {
		if hint := config.Suggest(f.Type, []string{"proxy", "connection_manager", "tcp_proxy"}); hint != "" {
			c.fail(index(path+".filters", i)+".type", "network filter %q is not a proxy, and connections need one%s", f.Type, hint)
			found = true
		}
	}
	return found
}

// networkModule is the network filter of the dynamic module that runs MOSN's.
func networkModule(filters list) obj {
	return obj{"name": "moe.mosn", "typed_config": message(
		extensions+"filters.network.dynamic_modules.v3.DynamicModuleNetworkFilter", obj{
			"dynamic_module_config": obj{"name": "moe", "do_not_close": true}, "filter_name": "mosn",
			"filter_config": message("google.protobuf.Struct", obj{"value": obj{"network_filters": filters}}),
		})}
}
