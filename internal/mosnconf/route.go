package mosnconf

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// seconds writes a duration as Envoy's JSON does.
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s" }

// routeConfig converts a router. Per-filter configuration needs the plugin in the listener.
func (c *converter) routeConfig(from routerAt, hasFilters bool, upstream string) obj {
	r := from.router
	out := obj{"name": r.Name}
	r.headerChanges.apply(out)
	var hosts list
	for i := range r.Hosts {
		h, at := &r.Hosts[i], from.hosts[i]
		domains := list{}
		for _, d := range h.Domains {
			domains = append(domains, d)
		}
		if len(domains) == 0 {
			c.fail(at+".domains", "is empty")
		}
		name := h.Name
		if name == "" {
			name = "virtual_host_" + strconv.Itoa(i)
		}
		one := obj{"name": name, "domains": domains}
		h.headerChanges.apply(one)
		c.perFilter(at, one, h.PerFilter, hasFilters)
		routes := list{}
		for j := range h.Routers {
			if rt := c.route(index(at+".routers", j), &h.Routers[j], hasFilters, upstream); rt != nil {
				routes = append(routes, rt)
			}
		}
		one["routes"] = routes
		hosts = append(hosts, one)
	}
	out["virtual_hosts"] = hosts
	return out
}

// apply writes header changes into a route, a virtual host or a route configuration.
func (h *headerChanges) apply(out obj) {
	add := func(key string, options []headerOption) {
		var l list
		for _, o := range options {
			action := "APPEND_IF_EXISTS_OR_ADD"
			if o.Append != nil && !*o.Append {
				action = "OVERWRITE_IF_EXISTS_OR_ADD"
			}
			l = append(l, obj{"header": obj{"key": o.Header.Key, "value": o.Header.Value}, "append_action": action})
		}
		if l != nil {
			out[key] = l
		}
	}
	add("request_headers_to_add", h.RequestAdd)
	add("response_headers_to_add", h.ResponseAdd)
	if len(h.RequestRemove) > 0 {
		out["request_headers_to_remove"] = h.RequestRemove
	}
	if len(h.ResponseRemove) > 0 {
		out["response_headers_to_remove"] = h.ResponseRemove
	}
}

// perFilter writes what a route gives the filters.
func (c *converter) perFilter(path string, out obj, of map[string]any, hasFilters bool) {
	if len(of) == 0 {
		return
	}
	if !hasFilters {
		c.note(path+".per_filter_config", "the listener has no stream filters that would read it")
		return
	}
	out["typed_per_filter_config"] = obj{httpFilter: module("DynamicModuleFilterPerRoute", plugin(obj{
		"per_filter_config": of,
	}))}
}

func (c *converter) route(path string, r *routeConfig, hasFilters bool, upstream string) obj {
	out := obj{"match": c.match(path+".match", &r.Match)}
	c.perFilter(path, out, r.PerFilter, hasFilters)
	switch {
	case r.Direct != nil:
		out["direct_response"] = obj{"status": r.Direct.Status}
		if r.Direct.Body != "" {
			out["direct_response"].(obj)["body"] = obj{"inline_string": r.Direct.Body}
		}
		if r.Route.Cluster != "" {
			c.note(path+".route", "the route answers by itself, so its cluster is not used")
		}
	case r.Redirect != nil:
		out["redirect"] = c.redirect(path+".redirect", r.Redirect)
	default:
		out["route"] = c.action(path+".route", r, upstream)
		r.Route.headerChanges.apply(out)
	}
	return out
}

func (c *converter) match(path string, m *routeMatch) obj {
	out := obj{}
	switch { // in MOSN's order
	case m.Prefix != "":
		out["prefix"] = m.Prefix
		c.escapable(path+".prefix", m.Prefix)
	case m.Path != "": // which MOSN compares without regard to case
		out["path"], out["case_sensitive"] = m.Path, false
		c.escapable(path+".path", m.Path)
	case m.Regex != "":
		out["safe_regex"] = obj{"regex": c.regex(path+".regex", m.Regex)}
	default: // by headers only; without any, MOSN takes every request
		out["prefix"] = "/"
	}
	var headers list
	for i, h := range m.Headers {
		name := h.Name
		switch strings.ToLower(name) { // MOSN has these in variables
		case "method", ":method":
			name = ":method"
		case ":authority", "host":
			name = ":authority"
		}
		one := obj{"name": name}
		switch {
		case name == "service" && h.Value == ".*" && len(m.Headers) == 1 && m.byHeaders(): // any value: MOSN keeps an old form
			one["present_match"] = true
		case h.Regex:
			one["string_match"] = obj{"safe_regex": obj{"regex": c.regex(index(path+".headers", i)+".value", h.Value)}}
		default:
			one["string_match"] = obj{"exact": h.Value}
		}
		headers = append(headers, one)
	}
	if headers != nil {
		out["headers"] = headers
	}
	return out
}

// kept are the characters whose escapes stay when Envoy normalizes a path.
var kept = regexp.MustCompile(`[^-._~/\\0-9A-Za-z]`)

// escapable notes what Envoy does not find in a path in which a client has escaped it. MOSN resolves all escapes first.
func (c *converter) escapable(path, text string) {
	if found := kept.FindString(text); found != "" {
		c.note(path, fmt.Sprintf("has %q, and Envoy takes another route if a client escapes it; add a route for that, or use regex",
			found))
	}
}

// byHeaders reports whether nothing but headers decides.
func (m *routeMatch) byHeaders() bool { return m.Path == "" && m.Prefix == "" && m.Regex == "" }

// regex converts an expression. MOSN looks for it anywhere in the text, and Envoy matches the whole. What may stand around
// it are bytes (\C), which need not be UTF-8.
func (c *converter) regex(path, text string) string {
	if _, err := regexp.Compile(text); err != nil {
		c.fail(path, "is not a regular expression: %v", err)
		return text
	}
	if _, err := regexp.Compile("(?:" + text + ")"); err != nil { // \Q without \E, which quotes to the end
		text += `\E`
	}
	return `\C*(?:` + text + `)\C*`
}

func (c *converter) redirect(path string, r *redirect) obj {
	codes := map[int]string{
		0: "MOVED_PERMANENTLY", http.StatusMovedPermanently: "MOVED_PERMANENTLY", http.StatusFound: "FOUND",
		http.StatusSeeOther: "SEE_OTHER", http.StatusTemporaryRedirect: "TEMPORARY_REDIRECT",
		http.StatusPermanentRedirect: "PERMANENT_REDIRECT",
	}
	code, known := codes[r.Code]
	if !known {
		c.fail(path+".response_code", "%d is not a redirect; Envoy has %v", r.Code, slices.Sorted(maps.Keys(codes))[1:])
	}
	out := obj{"response_code": code}
	set(out, "path_redirect", r.Path)
	set(out, "host_redirect", r.Host)
	set(out, "scheme_redirect", r.Scheme)
	return out
}

// defaultTimeout is MOSN's for a route that does not say.
const defaultTimeout = time.Minute

func (c *converter) action(path string, r *routeConfig, upstream string) obj {
	a := &r.Route
	out := obj{"timeout": seconds(defaultTimeout)}
	if a.Upstream != "" {
		own, known := upstreams[a.Upstream]
		if !known {
			c.fail(path+".upstream_protocol", "Envoy does not speak %q; Http1, Http2 and Auto are converted", a.Upstream)
		}
		upstream = own
	}
	if a.Timeout > 0 {
		out["timeout"] = seconds(a.Timeout)
	}
	switch {
	case len(a.Weighted) > 0:
		var clusters list
		for i, w := range a.Weighted {
			c.known(index(path+".weighted_clusters", i)+".cluster.name", w.Cluster.Name)
			c.speak(index(path+".weighted_clusters", i), w.Cluster.Name, upstream)
			one := obj{"name": w.Cluster.Name, "weight": w.Cluster.Weight}
			w.Cluster.Metadata.apply(one, "metadata_match")
			clusters = append(clusters, one)
		}
		out["weighted_clusters"] = obj{"clusters": clusters}
	case a.ClusterHeader != "":
		out["cluster_header"] = a.ClusterHeader
	case a.Cluster != "":
		c.known(path+".cluster_name", a.Cluster)
		c.speak(path, a.Cluster, upstream)
		out["cluster"] = a.Cluster
	default:
		c.fail(path, "leads nowhere; give cluster_name, weighted_clusters or cluster_header")
	}
	a.MetadataMatch.apply(out, "metadata_match")
	if policies := c.hashPolicies(a.HashPolicy); policies != nil {
		out["hash_policy"] = policies
	}
	if a.Retry != nil && a.Retry.On {
		out["retry_policy"] = a.Retry.convert()
	}
	set(out, "prefix_rewrite", a.PrefixRewrite)
	if a.RegexRewrite != nil && a.RegexRewrite.Pattern.Regex != "" {
		out["regex_rewrite"] = obj{
			"pattern": obj{"regex": a.RegexRewrite.Pattern.Regex}, "substitution": a.RegexRewrite.Substitution,
		}
	}
	set(out, "host_rewrite_literal", a.HostRewrite)
	if a.AutoHost {
		out["auto_host_rewrite"] = true
	}
	set(out, "host_rewrite_header", a.AutoHostHeader)
	if r.Mirror != nil && r.Mirror.Cluster != "" {
		c.known(path+".request_mirror_policies.cluster", r.Mirror.Cluster)
		out["request_mirror_policies"] = list{obj{"cluster": r.Mirror.Cluster, "runtime_fraction": obj{
			"default_value": obj{"numerator": r.Mirror.Percent},
		}}}
	}
	return out
}

// apply writes metadata for the subset load balancer.
func (m *metadata) apply(out obj, key string) {
	if m != nil && len(m.Filter.LB) > 0 {
		out[key] = obj{"filter_metadata": obj{"envoy.lb": m.Filter.LB}}
	}
}

func (c *converter) hashPolicies(policies []hashPolicy) (out list) {
	for _, p := range policies {
		switch {
		case p.Header != nil:
			out = append(out, obj{"header": obj{"header_name": p.Header.Key}})
		case p.Cookie != nil:
			one := obj{"name": p.Cookie.Name}
			set(one, "path", p.Cookie.Path)
			if p.Cookie.TTL > 0 {
				one["ttl"] = seconds(p.Cookie.TTL)
			}
			out = append(out, obj{"cookie": one})
		case p.SourceIP != nil:
			out = append(out, obj{"connection_properties": obj{"source_ip": true}})
		}
	}
	return out
}

// convert is MOSN's retry policy: on a connection that failed, a reset, and a status of 500 and above or those listed.
func (r *retry) convert() obj {
	out := obj{"num_retries": max(r.Num, 1)}
	if len(r.Codes) > 0 {
		out["retry_on"], out["retriable_status_codes"] = "connect-failure,reset,retriable-status-codes", r.Codes
	} else {
		out["retry_on"] = "5xx"
	}
	if r.Timeout > 0 {
		out["per_try_timeout"] = seconds(r.Timeout)
	}
	return out
}
