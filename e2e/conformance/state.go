package conformance

import (
	"fmt"
	"strings"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/framework/filter"
)

// stateScenarios are about what a plugin shares with Envoy: metadata, filter state, attributes, routes, metrics.
func stateScenarios() []Scenario {
	all := append(metadataRows(), filterStateRows()...)
	return append(append(rows(append(all, attributeRows()...)), routingScenarios()...), metricScenarios()...)
}

func metadataRows() []row {
	set := "meta moe.test text hello; meta moe.test number 2.5; meta moe.test truth true"
	read := `function envoy_on_request(h)
		local m = h:streamInfo():dynamicMetadata():get("moe.test") or {}
		h:headers():add("x-lua", tostring(m.text) .. "/" .. tostring(m.number) .. "/" .. tostring(m.truth)) end`
	rbac := M{"name": "rbac", "typed_config": M{
		"@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
		"rules": M{"action": "ALLOW", "policies": M{"p": M{"permissions": A{M{"any": true}}, "principals": A{M{"metadata": M{
			"filter": "moe.test", "path": A{M{"key": "user"}}, "value": M{"string_match": M{"exact": "ann"}},
		}}}}}},
	}}
	return []row{
		{
			name: "metadata: a later filter reads what a plugin set", needs: filter.CanSetMetadata,
			chain:  []M{Probe("p", "request_headers", set+"; set x-self ${meta.moe.test/text}/${meta.moe.test/number}/${meta.moe.test/truth}")},
			listen: Listen{After: []M{lua(read)}},
			up:     []string{"x-lua", "hello/2.5/true", "x-self", `"hello"/2.5/true`},
		},
		{
			name: "metadata: set off Envoy's thread", needs: filter.CanSetMetadata,
			chain:  []M{Probe("p", "request_headers", "go; sleep 2ms; "+set)},
			listen: Listen{After: []M{lua(read)}}, up: []string{"x-lua", "hello/2.5/true"},
		},
		{
			name: "metadata: a plugin reads what an earlier filter set", needs: filter.CanSetMetadata,
			chain: []M{Probe("p", "request_headers",
				"set x-got '${meta.from.lua/text} ${meta.from.lua/number} ${meta.from.lua/truth} ${meta.from.lua/none}'")},
			listen: Listen{Before: []M{lua(`function envoy_on_request(h)
				local m = h:streamInfo():dynamicMetadata()
				m:set("from.lua", "text", "hi"); m:set("from.lua", "number", 7); m:set("from.lua", "truth", false) end`)}},
			up: []string{"x-got", `"hi" 7 false error: ` + filter.ErrNotFound.Error()},
		},
		{
			name: "metadata: rbac decides by it: yes", needs: filter.CanSetMetadata,
			chain:  []M{Probe("p", "request_headers", "meta moe.test user ann")},
			listen: Listen{After: []M{rbac}}, status: 200,
		},
		{
			name: "metadata: rbac decides by it: no", needs: filter.CanSetMetadata,
			chain:  []M{Probe("p", "request_headers", "meta moe.test user bob", "response_headers", "set x-seen 1")},
			listen: Listen{After: []M{rbac}}, status: 403, headers: []string{"x-seen", "1"},
		},
		{
			name: "metadata: set in OnComplete is in Envoy's access log", needs: filter.CanSetMetadata,
			chain: []M{Probe("p", "response_headers", "meta moe.test early 1", "complete", "meta moe.test late '${trace}'")},
			then: func(b *Bed, r *client.Response) {
				meta, _ := b.Access(r.ID)["meta"].(map[string]any)
				Equal(b, "early", fmt.Sprint(meta["early"]), "1")
				Equal(b, "late", fmt.Sprint(meta["late"]), "p.request_headers p.response_headers p.response_body p.complete")
			},
		},
		{
			name: "metadata: of a reset stream is in the access log too", needs: filter.CanSetMetadata,
			chain: []M{Probe("p", "response_headers", "pipe error", "complete", "meta moe.test late ${req.x-id}")},
			reset: true,
			then: func(b *Bed, r *client.Response) {
				meta, _ := b.Access(r.ID)["meta"].(map[string]any)
				Equal(b, "late", fmt.Sprint(meta["late"]), r.ID)
			},
		},
	}
}

func filterStateRows() []row {
	setter := M{"name": "set", "typed_config": M{
		"@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
		"on_request_headers": A{M{
			"object_key": "from.envoy", "factory_key": "envoy.string",
			"format_string": M{"text_format_source": M{"inline_string": "state-%REQ(X-IN)%"}},
		}},
	}}
	return []row{
		{
			name: "filter state: a plugin reads Envoy's", needs: filter.CanUseFilterState, listen: Listen{Before: []M{setter}},
			chain: []M{Probe("p", "request_headers", "set x-got '${fs.from.envoy}/${fs.none}'")},
			req:   client.Request{Header: []string{"x-in", "1"}},
			up:    []string{"x-got", "state-1/error: " + filter.ErrNotFound.Error()},
		},
		{
			name: "filter state: Envoy's access log has a plugin's", needs: filter.CanUseFilterState,
			chain: []M{Probe("p", "request_headers", "fs moe.test value; set x-got ${fs.moe.test}")},
			up:    []string{"x-got", "value"}, access: []string{"fs", "value"},
		},
		{
			name: "filter state: shared by two filters", needs: filter.CanUseFilterState,
			chain: []M{Probe("p", "request_headers", "go; fs shared.key v1"), Probe("q", "request_headers", "go; set x-got ${fs.shared.key}")},
			up:    []string{"x-got", "v1"},
		},
		{
			name:  "keys: typed values shared by the plugins of a stream",
			chain: []M{Probe("p", "request_headers", "key a 1"), Probe("q", "request_headers", "set x-got ${key.a}; key a 2", "response_headers", "set x-got ${key.a}")},
			up:    []string{"x-got", "1"}, headers: []string{"x-got", "2"},
		},
	}
}

func attributeRows() []row {
	want := []string{
		"request.path", "/body/x?q=1", "request.url_path", "/body/x", "request.host", "attr.test", "request.scheme", "http",
		"request.method", "GET", "request.protocol", "HTTP/1.1", "request.query", "q=1", "request.useragent", "agent",
		"request.referer", "http://from.test/", "xds.route_name", "named", "xds.cluster_name", "up",
	}
	var script, got strings.Builder
	for i := 0; i < len(want); i += 2 {
		fmt.Fprintf(&script, "${attr.%s} ", want[i])
		fmt.Fprintf(&got, "%s ", want[i+1])
	}
	return []row{
		{
			name:   "attributes: of the request",
			chain:  []M{Probe("p", "request_headers", "set x-got '"+strings.TrimSpace(script.String())+"'")},
			listen: Listen{Routes: []M{To("up", "/", M{"name": "named"})}},
			req: client.Request{
				Path: "/body/x?q=1", Host: "attr.test",
				Header: []string{"user-agent", "agent", "referer", "http://from.test/"},
			},
			up: []string{"x-got", strings.TrimSpace(got.String())},
		},
		{
			name: "attributes: of the response, at its end",
			chain: []M{Probe("p", "complete", "log info 'done ${req.x-id} ${attr.response.code} ${attr.upstream.address} "+
				"${attr.request.size} ${attr.response.size} ${attr.xds.cluster_name}'")},
			req: client.Request{Path: "/body/xyz", Body: "body"},
			log: `done ID 200 127\.0\.0\.1:\d+ 4 3 up`,
		},
		{
			name:  "attributes: the client's address, and one that is unknown",
			chain: []M{Probe("p", "request_headers", "set x-got '${attr.source.address} ${remote} ${attr.no.such}'")},
			then: func(b *Bed, r *client.Response) {
				f := strings.Fields(b.Seen(r, 1)[0].Header.Get("x-got"))
				if len(f) < 3 || !strings.HasPrefix(f[0], "127.") || f[0] != f[1] || f[2] != "error:" {
					b.Errorf("got %q", f)
				}
			},
		},
		{
			name:  "attributes: request.id is Envoy's",
			chain: []M{Probe("p", "request_headers", "set x-got ${attr.request.id}")},
			then: func(b *Bed, r *client.Response) {
				h := b.Seen(r, 1)[0].Header
				Equal(b, "request.id", h.Get("x-got"), h.Get("x-request-id"))
				Equal(b, "its length", len(h.Get("x-got")), 36)
			},
		},
	}
}

// routingScenarios change where the request goes.
func routingScenarios() []Scenario {
	byHeader := []M{{
		"match": M{"prefix": "/", "headers": A{M{"name": "x-to", "string_match": M{"exact": "other"}}}},
		"route": M{"cluster": "other"},
	}, To("up", "/")}
	to := func(b *Bed, l Listen, req client.Request) string { return b.Listen(l).Do(req).Header.Get("x-upstream") }
	return []Scenario{
		{Name: "routing: by a header that a plugin set", Needs: filter.CanClearRouteCache, Run: func(b *Bed) {
			for _, script := range []string{"set x-to other; clearroute", "go; sleep 1ms; set x-to other; clearroute"} {
				Equal(b, script, to(b, Listen{Routes: byHeader, Chain: Chain(Probe("p", "request_headers", script))},
					client.Request{}), b.Other.Addr)
			}
			Equal(b, "in the whole request", to(b, Listen{
				Routes: byHeader,
				Chain:  Chain(ProbeOf("probewhole", "p", "request", "set x-to ${body}; clearroute")),
			},
				client.Request{Body: "other"}), b.Other.Addr)
		}},
		{Name: "routing: the route stays without a clearing", Run: func(b *Bed) {
			ln := b.Listen(Listen{Routes: byHeader, Chain: Chain(
				Probe("r", "request_headers", "set x-c ${attr.xds.cluster_name}"), // it is chosen now
				Probe("p", "request_headers", "set x-to other", "response_headers", "set x-seen 1"))})
			r := ln.Do(client.Request{})
			Equal(b, "upstream", r.Header.Get("x-upstream"), b.Up.Addr)
			Equal(b, "x-seen", r.Header.Get("x-seen"), "1")
		}},
		{Name: "routing: a path that a plugin set", Needs: filter.CanClearRouteCache, Run: func(b *Bed) {
			r := b.Listen(Listen{
				Routes: []M{To("other", "/echo/new"), To("up", "/")},
				Chain:  Chain(Probe("p", "request_headers", "set :path /echo/new?x=1; clearroute")),
			}).Do(client.Request{})
			Equal(b, "upstream", r.Header.Get("x-upstream"), b.Other.Addr)
			Equal(b, "path", r.Header.Get("x-upstream-path"), "/echo/new?x=1")
		}},
		{Name: "routing: an upstream host of the cluster", Needs: filter.CanSetUpstreamHost, Run: func(b *Bed) {
			for _, addr := range []string{b.Up.Addr, b.Other.Addr} {
				for _, mode := range []string{"strict", "loose"} {
					ln := b.Listen(Listen{
						Routes: []M{To("pair", "/")},
						Chain:  Chain(Probe("p", "request_headers", "upstream "+addr+" "+mode)),
					})
					for range 4 {
						Equal(b, mode, ln.Do(client.Request{}).Header.Get("x-upstream"), addr)
					}
				}
			}
		}},
		{Name: "routing: an upstream host that is not of the cluster", Needs: filter.CanSetUpstreamHost, Run: func(b *Bed) {
			ln := b.Listen(Listen{
				Routes: []M{To("pair", "/")},
				Chain:  Chain(Probe("p", "request_headers", "upstream 127.0.0.1:1 loose", "response_headers", "set x-seen 1")),
			})
			r := ln.Do(client.Request{})
			Equal(b, "loose", r.Status, 200)
			Equal(b, "x-seen", r.Header.Get("x-seen"), "1")
			ln = b.Listen(Listen{Routes: []M{To("pair", "/")}, Chain: Chain(Probe("p", "request_headers", "upstream 127.0.0.1:1 strict"))})
			Equal(b, "strict", ln.Do(client.Request{}).Status, 503)
			ln = b.Listen(Listen{Chain: Chain(Probe("p", "request_headers",
				"upstream nonsense strict; set x-got '${last}'"))})
			r = ln.Do(client.Request{})
			Contains(b, "an address that is none", b.Seen(r, 1)[0].Header.Get("x-got"), "error")
		}},
	}
}

func metricScenarios() []Scenario {
	return []Scenario{
		{Name: "metrics: counter, gauge and histogram, with tags", Run: func(b *Bed) {
			id := "m" + client.NewID()
			ln := b.Listen(Listen{Chain: Chain(Probe(id, "request_headers",
				"counter 2 a; counter 3 b; gauge 5 a; go; counter 1 a; gauge -2 a", "response_headers", "histogram 100 a",
				"complete", "counter 10 c"))})
			for range 3 {
				ln.Do(client.Request{})
			}
			ln.Do(client.Request{Path: "/body/x"}) // carries what the one before has counted at its end
			name := func(n string) string { return "moe." + id + "." + n }
			b.WaitMetric(name("events"), `kind="c"`, 30)
			for label, want := range map[string]float64{`kind="a"`: 12, `kind="b"`: 12} {
				b.WaitMetric(name("events"), label, want)
				n, _ := b.Metric(name("events"), "", label)
				Equal(b, "counter "+label, n, want)
			}
			n, _ := b.Metric(name("level"), "", `kind="a"`)
			Equal(b, "gauge", n, 12)
			b.Poll(func() error { // Envoy shows a histogram once its statistics are flushed
				if n, _ := b.Metric(name("size"), "_count", `kind="a"`); n != 4 {
					return fmt.Errorf("the histogram has %v values, want 4", n)
				}
				return nil
			})
		}},
		{Name: "metrics: of a plugin that only a route has", Run: func(b *Bed) {
			id := "m" + client.NewID()
			ln := b.Listen(Listen{Chain: Chain(Probe("p")), Routes: []M{
				To("up", "/body/r", b.PerRoute(Chain(Probe(id, "request_headers", "counter 2 a; gauge 5 b; histogram 100 a")))),
				To("up", "/"),
			}})
			for range 3 {
				ln.Do(client.Request{Path: "/body/r"})
			}
			b.WaitMetric("moe."+id+".events", `kind="a"`, 6)
			b.WaitMetric("moe."+id+".level", `kind="b"`, 15)
			b.Poll(func() error {
				if n, _ := b.Metric("moe."+id+".size", "_count", `kind="a"`); n != 3 {
					return fmt.Errorf("the histogram has %v values, want 3", n)
				}
				return nil
			})
		}},
		{Name: "metrics: the chain's own", Run: func(b *Bed) {
			id := "m" + client.NewID()
			ln := b.Listen(Listen{Chain: Chain(Probe(id, "request_headers", "if ${req.x-no} 1; reply 403 no",
				"response_headers", "setreq x-late 1"))})
			ln.Do(client.Request{Header: []string{"x-no", "1"}})
			ln.Do(client.Request{})
			ln.Do(client.Request{})
			b.WaitMetric("moe.replies", fmt.Sprintf("plugin=%q", id), 1)
			b.WaitMetric("moe.misuses", fmt.Sprintf("plugin=%q", id), 1)
		}},
	}
}
