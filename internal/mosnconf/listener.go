package mosnconf

import (
	"fmt"
	"reflect"
	"strings"

	"mosn.io/moe/framework/config"
)

const (
	extensions = "envoy.extensions."
	httpFilter = "moe"
)

// listener converts a listener, whose filter is a connection manager, a proxy or a TCP proxy.
func (c *converter) listener(path string, i int, l *listener) obj {
	address := c.listenAddress(path, l)
	if l.Name == "" {
		l.Name = fmt.Sprintf("listener_%d", i)
	}
	out := obj{"name": l.Name, "address": address}
	if !l.BindPort {
		out["bind_to_port"] = false
		c.note(path+".bind_port", "is not set, so Envoy does not listen there either")
	}
	if len(l.FilterChains) == 0 {
		c.fail(path+".filter_chains", "is empty, so the listener does nothing")
		return nil
	}
	var chains list
	for j := range l.FilterChains {
		chains = append(chains, c.filterChain(index(path+".filter_chains", j), path, l, &l.FilterChains[j])...)
	}
	out["filter_chains"] = chains
	c.listenerFilters(path, l, out)
	return out
}

// filterChain converts a chain: one of Envoy's for each TLS context.
func (c *converter) filterChain(path, listenerPath string, l *listener, chain *filterChain) list {
	filters := c.networkFilters(path, listenerPath, l, chain)
	if filters == nil {
		return nil
	}
	contexts := chain.TLSs
	if chain.TLS != nil {
		contexts = append([]tlsConfig{*chain.TLS}, contexts...)
	}
	var out list
	for i := range contexts {
		if contexts[i].Status {
			one := obj{"filters": filters, "transport_socket": c.downstreamTLS(path, &contexts[i])}
			if name := contexts[i].ServerName; name != "" && len(contexts) > 1 {
				one["filter_chain_match"] = obj{"server_names": list{name}}
			}
			out = append(out, one)
		}
	}
	if len(out) == 0 {
		out = list{obj{"filters": filters}}
	}
	return out
}

// codecs are the connection manager's for MOSN's protocols of clients. Envoy's HTTP1 would refuse an upgrade by prior
// knowledge, as MOSN does.
var codecs = map[string]string{"": "AUTO", "Auto": "AUTO", "Http1": "HTTP1", "Http2": "HTTP2"}

// upstreams are the protocols to upstreams, of which "" is the client's.
var upstreams = map[string]string{"": "", "Auto": "", "Http1": "Http1", "Http2": "Http2"}

// connectionManager converts MOSN's proxy.
func (c *converter) connectionManager(path, listenerPath string, l *listener, f *networkFilter) obj {
	var p proxy
	if !c.decode(path+".config", f.Config, &p) {
		return nil
	}
	codec, known := codecs[p.Downstream]
	if !known {
		c.fail(path+".config.downstream_protocol", "Envoy does not speak %q; Http1, Http2 and Auto are converted", p.Downstream)
	}
	upstream, known := upstreams[p.Upstream]
	if !known {
		c.fail(path+".config.upstream_protocol", "Envoy does not speak %q; Http1, Http2 and Auto are converted", p.Upstream)
	}
	r, found := c.routers[p.Router]
	if !found {
		names := make([]string, 0, len(c.routers))
		for n := range c.routers {
			names = append(names, n)
		}
		c.fail(path+".config.router_config_name", "no router is called %q%s", p.Router, config.Suggest(p.Router, names))
		return nil
	}
	filters := list{}
	hasFilters := len(l.StreamFilters) > 0
	if hasFilters {
		filters = append(filters, obj{"name": httpFilter, "typed_config": module("DynamicModuleFilter", plugin(obj{
			"stream_filters": entries(l.StreamFilters),
		}))})
	}
	filters = append(filters, obj{"name": "envoy.filters.http.router", "typed_config": message(
		extensions+"filters.http.router.v3.Router", obj{})})
	manager := obj{
		"stat_prefix": l.Name, "codec_type": codec, "http_filters": filters,
		"route_config": c.routeConfig(r, hasFilters, upstream),
		// MOSN takes nothing from x-forwarded-for and adds nothing to it.
		"use_remote_address": true, "skip_xff_append": true,
		// MOSN routes and filters by the normalized path. With these, Envoy does too, and sends it upstream, so that no
		// service takes the path for another one than was decided on.
		"normalize_path": true, "merge_slashes": true, "path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD",
	}
	if n := max(p.Extend.MaxHeader, p.Extend.HTTP1.MaxHeader); n > 0 {
		manager["max_request_headers_kb"] = (n + 1023) / 1024
	}
	if logs := c.accessLogs(listenerPath, l); logs != nil {
		manager["access_log"] = logs
	}
	if l.IdleTimeout > 0 {
		manager["common_http_protocol_options"] = obj{"idle_timeout": seconds(l.IdleTimeout)}
	}
	return obj{"name": "envoy.filters.network.http_connection_manager", "typed_config": message(
		extensions+"filters.network.http_connection_manager.v3.HttpConnectionManager", manager)}
}

// inlineRouter keeps the routers that a connection_manager has in itself.
func (c *converter) inlineRouter(path string, f *networkFilter) {
	r := new(router)
	if !c.decode(path+".config", f.Config, r) {
		return
	}
	if _, twice := c.routers[r.Name]; twice {
		return // MOSN takes the first too
	}
	c.router(path+".config", r)
}

// tcpProxy converts a TCP proxy.
func (c *converter) tcpProxy(path string, l *listener, f *networkFilter) obj {
	var p struct {
		Prefix   string `json:"stat_prefix"`
		Cluster  string `json:"cluster"`
		Idle     any    `json:"idle_timeout" no:"set Envoy's idle_timeout of the tcp_proxy"`
		Attempts uint32 `json:"max_connect_attempts"`
		Routes   []struct {
			Cluster string `json:"cluster"`
			Sources any    `json:"source_addrs" no:"use Envoy's filter chain matches"`
			Dests   any    `json:"destination_addrs" no:"use Envoy's filter chain matches"`
		} `json:"routes"`
	}
	if !c.decode(path+".config", f.Config, &p) {
		return nil
	}
	if len(p.Routes) > 1 {
		c.fail(path+".config.routes", "has %d routes; Envoy needs a filter chain for each", len(p.Routes))
	}
	for _, r := range p.Routes {
		p.Cluster = r.Cluster
	}
	c.known(path+".config", p.Cluster)
	out := obj{"stat_prefix": l.Name, "cluster": p.Cluster}
	if p.Prefix != "" {
		out["stat_prefix"] = p.Prefix
	}
	set(out, "max_connect_attempts", p.Attempts)
	return obj{"name": "envoy.filters.network.tcp_proxy", "typed_config": message(
		extensions+"filters.network.tcp_proxy.v3.TcpProxy", out)}
}

// decode decodes what a network filter is configured by.
func (c *converter) decode(path string, raw map[string]any, into any) bool {
	d := config.Decoder{Path: path}
	if err := d.Decode(fold(raw, reflect.TypeOf(into)), into); err != nil {
		c.errs = append(c.errs, err)
		return false
	}
	c.inspect(path, reflect.ValueOf(into))
	return true
}

func (c *converter) accessLogs(path string, l *listener) (out list) {
	for i, a := range l.AccessLogs {
		if a.Path == "" {
			c.note(index(path+".access_logs", i), "has no log_path, so nothing is logged")
			continue
		}
		to := a.Path
		if to == "stdout" {
			to = "/dev/stdout"
		}
		out = append(out, obj{"name": "envoy.access_loggers.file", "typed_config": message(
			extensions+"access_loggers.file.v3.FileAccessLog", obj{"path": to})})
	}
	return out
}

// entries are filters as the plugin and the listener filter "mosn" have them.
func entries(filters []filter) (out list) {
	for _, f := range filters {
		one := obj{"type": f.Type}
		if f.Config != nil {
			one["config"] = f.Config
		}
		if f.Blocking != nil {
			one["blocking"] = *f.Blocking
		}
		out = append(out, one)
	}
	return out
}

// plugin is the document of a chain with the plugin "mosn".
func plugin(of obj) obj { return obj{"plugins": list{obj{"name": "mosn", "config": of}}} }

// module is the configuration of the dynamic module with the plugins.
func module(name string, document obj) obj {
	return message(extensions+"filters.http.dynamic_modules.v3."+name, obj{
		"dynamic_module_config": obj{"name": "moe", "do_not_close": true}, "filter_name": httpFilter,
		"filter_config": message("google.protobuf.Struct", obj{"value": document}),
	})
}

// tlsVersions are Envoy's names of what MOSN calls tls1_2 or TLSv1_2.
func (c *converter) tlsVersion(path, name string) string {
	if name == "" {
		return ""
	}
	v := strings.ToUpper(strings.NewReplacer("_", "", ".", "").Replace(name))
	switch strings.TrimPrefix(v, "TLSV") {
	case "10", "1", "TLS10":
		return "TLSv1_0"
	case "11", "TLS11":
		return "TLSv1_1"
	case "12", "TLS12":
		return "TLSv1_2"
	case "13", "TLS13":
		return "TLSv1_3"
	case "TLSAUTO", "AUTO":
		return "TLS_AUTO"
	}
	c.fail(path, "%q is not a version of TLS", name)
	return ""
}
