package mosnconf

import (
	"fmt"
	"strings"
	"time"

	"mosn.io/moe/framework/config"
)

// defaultConnectTimeout is MOSN's.
const defaultConnectTimeout = 3 * time.Second

// cluster converts a cluster.
func (c *converter) cluster(path string, cl *cluster) obj {
	out := obj{"name": cl.Name, "connect_timeout": seconds(defaultConnectTimeout)}
	if cl.ConnectTimeout != nil && *cl.ConnectTimeout > 0 {
		out["connect_timeout"] = seconds(*cl.ConnectTimeout)
	}
	names := c.endpoints(path, cl, out)
	c.balancer(path, cl, out)
	switch cl.Type {
	case "ORIGINAL_DST":
		c.toOriginalDst(path, cl, out)
	case "", "SIMPLE", "STATIC":
		out["type"] = "STATIC"
		if names {
			out["type"] = "STRICT_DNS"
		}
	case "STRICT_DNS", "EDS", "DYNAMIC":
		if cl.Type != "STRICT_DNS" {
			c.fail(path+".type", "%s takes its hosts from a registry, which is not read; name the hosts, with the type SIMPLE", cl.Type)
		}
		out["type"] = "STRICT_DNS"
	default:
		c.fail(path+".type", "cluster type %q has no counterpart in Envoy%s", cl.Type,
			config.Suggest(cl.Type, []string{"SIMPLE", "STATIC", "STRICT_DNS", "ORIGINAL_DST"}))
	}
	set(out, "per_connection_buffer_limit_bytes", cl.BufferLimit)
	c.protocol(cl, out)
	if t := c.breakers(cl.Breakers); t != nil {
		out["circuit_breakers"] = obj{"thresholds": t}
	}
	if s := cl.Subset; s != nil && len(s.Selectors) > 0 {
		out["lb_subset_config"] = s.convert()
	}
	tls := cl.TLS
	if cl.ManagerTLS {
		tls = c.manager
	}
	if socket := c.upstreamTLS(path, tls); socket != nil {
		out["transport_socket"] = socket
	}
	if h := cl.HealthCheck; h != nil && h.isSet() {
		out["health_checks"] = list{c.healthCheck(path+".health_check", h)}
	}
	if cl.RefreshRate != nil && *cl.RefreshRate > 0 {
		out["dns_refresh_rate"] = seconds(*cl.RefreshRate)
	}
	if cl.RespectTTL {
		out["respect_dns_ttl"] = true
	}
	if cl.Lookup != "" {
		out["dns_lookup_family"] = strings.ToUpper(cl.Lookup)
	}
	return out
}

// toOriginalDst has connections go to the address that a listener filter has restored.
func (c *converter) toOriginalDst(path string, cl *cluster, out obj) {
	if len(cl.Hosts) > 0 {
		c.note(path+".hosts", "connections go to their original address, as in MOSN")
	}
	delete(out, "load_assignment")
	out["type"], out["lb_policy"] = "ORIGINAL_DST", "CLUSTER_PROVIDED"
}

// endpoints writes the hosts, and reports whether some are names.
func (c *converter) endpoints(path string, cl *cluster, out obj) (names bool) {
	endpoints := list{}
	for i, h := range cl.Hosts {
		address, name := c.hostAddress(index(path+".hosts", i)+".address", h.Address)
		names = names || name
		endpoint := obj{"address": address}
		set(endpoint, "hostname", h.Hostname)
		one := obj{"endpoint": endpoint}
		if h.Weight > 0 {
			one["load_balancing_weight"] = h.Weight
		}
		h.Metadata.apply(one, "metadata")
		endpoints = append(endpoints, one)
	}
	out["load_assignment"] = obj{"cluster_name": cl.Name, "endpoints": list{obj{"lb_endpoints": endpoints}}}
	return names
}

// protocol has the upstream spoken to as the proxy says, or else as the client speaks.
func (c *converter) protocol(cl *cluster, out obj) {
	options := obj{"use_downstream_protocol_config": obj{"http2_protocol_options": obj{}}}
	switch c.speaks[cl.Name].protocol {
	case "Http1":
		options = obj{"explicit_http_config": obj{"http_protocol_options": obj{}}}
	case "Http2":
		options = obj{"explicit_http_config": obj{"http2_protocol_options": obj{}}}
	}
	common := obj{}
	if cl.MaxPerConn > 0 {
		common["max_requests_per_connection"] = cl.MaxPerConn
	}
	if cl.IdleTimeout != nil && *cl.IdleTimeout > 0 {
		common["idle_timeout"] = seconds(*cl.IdleTimeout)
	}
	if len(common) > 0 {
		options["common_http_protocol_options"] = common
	}
	name := "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
	out["typed_extension_protocol_options"] = obj{name: message(name, options)}
}

func (c *converter) breakers(all []thresholds) (out list) {
	for _, t := range all {
		one := obj{}
		set(one, "max_connections", t.MaxConnections)
		set(one, "max_pending_requests", t.MaxPending)
		set(one, "max_requests", t.MaxRequests)
		set(one, "max_retries", t.MaxRetries)
		if len(one) > 0 {
			out = append(out, one)
		}
	}
	return out
}

func (s *subset) convert() obj {
	policies := []string{"NO_FALLBACK", "ANY_ENDPOINT", "DEFAULT_SUBSET"}
	out := obj{"fallback_policy": policies[min(int(s.Fallback), len(policies)-1)]}
	if len(s.Default) > 0 {
		out["default_subset"] = s.Default
	}
	var selectors list
	for _, keys := range s.Selectors {
		selectors = append(selectors, obj{"keys": keys})
	}
	out["subset_selectors"] = selectors
	return out
}

// healthCheck converts a health check: MOSN's own for HTTP/1, or a TCP connection.
func (c *converter) healthCheck(path string, h *healthCheck) obj {
	def := func(d, otherwise time.Duration) string {
		if d > 0 {
			return seconds(d)
		}
		return seconds(otherwise)
	}
	out := obj{
		"timeout": def(h.Timeout, time.Second), "interval": def(h.Interval, 15*time.Second),
		"healthy_threshold": max(h.Healthy, 1), "unhealthy_threshold": max(h.Unhealthy, 1),
	}
	if h.Jitter > 0 {
		out["interval_jitter"] = seconds(h.Jitter)
	}
	if h.InitialDelay > 0 {
		out["initial_jitter"] = seconds(h.InitialDelay)
		c.note(path+".initial_delay_seconds", "Envoy waits for a random time up to it")
	}
	set(out, "event_log_path", h.EventLog)
	switch h.Protocol {
	case "Http1", "Http2":
		check := obj{"path": "/"}
		var given struct {
			HTTP struct {
				Path   string `json:"path"`
				Method string `json:"method"`
				Domain string `json:"domain"`
				Port   int    `json:"port" no:"use Envoy's health_check_config of the endpoint"`
				Codes  any    `json:"codes" no:"use Envoy's expected_statuses"`
			} `json:"http_check_config"`
		}
		if c.decode(path+".check_config", h.Check, &given) {
			if given.HTTP.Path != "" {
				check["path"] = given.HTTP.Path
			}
			set(check, "host", given.HTTP.Domain)
			set(check, "method", strings.ToUpper(given.HTTP.Method))
		}
		if h.Protocol == "Http2" {
			check["codec_client_type"] = "HTTP2"
		}
		out["http_health_check"] = check
	default: // MOSN connects by TCP where it does not know the protocol, "http1" among others
		out["tcp_health_check"] = obj{}
		if !strings.EqualFold(h.Protocol, "tcp") {
			c.note(path+".protocol", fmt.Sprintf("%q has no checks of its own, so only a TCP connection is tried, as by MOSN; "+
				"Http1 and Http2 have", h.Protocol))
		}
	}
	return out
}

// isSet reports whether there is something to check: MOSN writes an empty one where nothing is set.
func (h *healthCheck) isSet() bool { return h.Protocol != "" || h.Service != "" || h.Check != nil }
