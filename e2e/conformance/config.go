package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"mosn.io/moe/e2e/client"
)

func configScenarios() []Scenario {
	return append(append(routeScenarios(), instanceScenarios()...), consumerScenarios()...)
}

// plugin writes an entry of a chain.
func plugin(name, id string, config M) M { return M{"name": name, "id": id, "config": config} }

// cfg is the probe that shows its configuration, under the id c.
func cfg(config M) M { return plugin("probeconfig", "c", config) }

// shown returns what the probe showed of its configuration: name, value, name, value …
func shown(b *Bed, r *client.Response, want ...any) {
	b.Helper()
	var got map[string]any
	d := json.NewDecoder(strings.NewReader(r.Header.Get("x-config")))
	d.UseNumber()
	if err := d.Decode(&got); err != nil {
		b.Errorf("x-config %q: %v", r.Header.Get("x-config"), err)
		return
	}
	for i := 0; i+1 < len(want); i += 2 {
		Equal(b, "configuration "+want[i].(string), fmt.Sprint(got[want[i].(string)]), fmt.Sprint(want[i+1]))
	}
}

// routeScenarios are about configuration of routes, which merges over the filter's.
func routeScenarios() []Scenario {
	base := M{"rate": 1, "nested": M{"a": "fa", "b": "fb"}, "tags": A{"x"}}
	over := Chain(cfg(M{"rate": 2, "nested": M{"b": "rb"}, "tags": A{"y", "z"}}))
	get := func(b *Bed, ln *Listener, path string) *client.Response { return ln.Do(client.Request{Path: path}) }
	return []Scenario{
		{Name: "route: merges over the filter's", Run: func(b *Bed) {
			ln := b.Listen(Listen{Chain: Chain(cfg(base)), Routes: []M{To("up", "/body/r", b.PerRoute(over)), To("up", "/")}})
			shown(b, get(b, ln, "/body/r"), "rate", 2, "a", "fa", "b", "rb", "tags", "[y z]", "wait", "0s")
			shown(b, get(b, ln, "/body/x"), "rate", 1, "a", "fa", "b", "fb", "tags", "[x]")
		}},
		{Name: "route: defaults hold where nothing is said", Run: func(b *Bed) {
			ln := b.Listen(Listen{
				Chain:  Chain(cfg(M{"wait": "1m30s"})),
				Routes: []M{To("up", "/body/r", b.PerRoute(Chain(cfg(M{"nested": M{"a": "ra"}})))), To("up", "/")},
			})
			shown(b, get(b, ln, "/body/r"), "rate", 7, "a", "ra", "wait", "1m30s")
		}},
		{Name: "route: of a virtual host, and the route's before it", Run: func(b *Bed) {
			ln := b.Listen(Listen{
				Chain: Chain(cfg(base)), VHost: b.PerRoute(Chain(cfg(M{"rate": 5}))),
				Routes: []M{To("up", "/body/r", b.PerRoute(over)), To("up", "/")},
			})
			shown(b, get(b, ln, "/body/r"), "rate", 2)
			shown(b, get(b, ln, "/body/x"), "rate", 5, "a", "fa")
		}},
		{Name: "route: of a weighted cluster", Run: func(b *Bed) {
			w := M{"name": "up", "weight": 100}
			maps.Copy(w, b.PerRoute(over))
			ln := b.Listen(Listen{Chain: Chain(cfg(base)), Routes: []M{{
				"match": M{"prefix": "/"},
				"route": M{"weighted_clusters": M{"clusters": A{w}}},
			}}})
			shown(b, get(b, ln, "/body/x"), "rate", 2, "a", "fa")
		}},
		{Name: "route: disables and enables plugins", Run: func(b *Bed) {
			off := cfg(base)
			off["disabled"] = true
			ln := b.Listen(Listen{
				Chain: Chain(plugin("probeconfig", "c", base), M{"name": "hello", "id": "h", "disabled": true}),
				Routes: []M{
					To("up", "/body/off", b.PerRoute(Chain(M{"id": "c", "name": "probeconfig", "disabled": true}))),
					To("up", "/body/on", b.PerRoute(Chain(M{"id": "h", "name": "hello", "disabled": false}))), To("up", "/"),
				},
			})
			r := get(b, ln, "/body/x")
			Equal(b, "enabled", r.Header.Get("x-count") != "", true)
			Equal(b, "disabled in the filter", r.Header.Get("x-extproc-hello"), "")
			Equal(b, "disabled on the route", get(b, ln, "/body/off").Header.Get("x-config"), "")
			Equal(b, "enabled on the route", get(b, ln, "/body/on").Header.Get("x-extproc-hello"), "Hello from ext_proc")
		}},
		{Name: "route: adds plugins", Run: func(b *Bed) {
			ln := b.Listen(Listen{Chain: Chain(cfg(base)), Routes: []M{
				To("up", "/body/r", b.PerRoute(Chain(Probe("p", "request_headers", "reply 403 ${req.x-id}",
					"response_headers", "set x-p 1")))), To("up", "/"),
			}})
			Equal(b, "with it", get(b, ln, "/body/r").Status, 403)
			Equal(b, "without", get(b, ln, "/body/x").Status, 200)
		}},
		{Name: "route: changes a plugin of a filter that comes with it", Run: func(b *Bed) {
			// Envoy loads a listener's routes before its filters, while other listeners are open.
			with := func(id string) Listen {
				return Listen{Chain: Chain(plugin("probeconfig", id, base)), Routes: []M{
					To("up", "/body/r", b.PerRoute(Chain(M{"id": id, "config": M{"rate": 2}}))), To("up", "/"),
				}}
			}
			b.Listen(with("first"))
			ln := b.Listen(with("second"))
			shown(b, get(b, ln, "/body/r"), "rate", 2, "a", "fa")
			if err := ln.Update(with("third")); err != nil {
				b.Fatal(err)
			}
			client.CloseIdle()
			shown(b, get(b, ln, "/body/r"), "rate", 2, "a", "fa")
		}},
		{Name: "route: is chosen again with another configuration when a plugin clears the cache", Run: func(b *Bed) {
			// A stream keeps the chain that it began with: half of one and half of another serves nobody.
			ln := b.Listen(Listen{
				Chain: Chain(Probe("p", "request_headers", "set x-to other; clearroute"), cfg(base)),
				Routes: []M{{
					"match": M{"prefix": "/", "headers": A{M{"name": "x-to", "string_match": M{"exact": "other"}}}},
					"route": M{"cluster": "other"},
				}, To("up", "/")},
			})
			r := get(b, ln, "/echo")
			Equal(b, "upstream", r.Header.Get("x-upstream"), b.Other.Addr)
			shown(b, r, "rate", 1)
		}},
		{Name: "one plugin by its name, with its configuration directly", Run: func(b *Bed) {
			ln := b.Listen(Listen{Name: "probeconfig", Chain: M{"rate": 3, "wait": "2s"}})
			shown(b, get(b, ln, "/body/x"), "rate", 3, "wait", "2s")
		}},
		{Name: "a document as YAML text", Run: func(b *Bed) {
			ln := b.Listen(Listen{Chain: "plugins:\n- name: probeconfig\n  config:\n    rate: 4 # yes\n"})
			shown(b, get(b, ln, "/body/x"), "rate", 4)
			ln = b.Listen(Listen{Chain: []byte(`{"plugins": [{"name": "probeconfig", "config": {"rate": 5}}]}`)})
			shown(b, get(b, ln, "/body/x"), "rate", 5)
		}},
		{Name: "the order as listed", Run: func(b *Bed) {
			doc := Chain(Probe("p", "request_headers", "set x-order ${req.x-order}p"),
				ProbeOf("probeauthn", "a", "request_headers", "set x-order ${req.x-order}a"))
			doc["order"] = "listed"
			r := b.Listen(Listen{Chain: doc}).Do(client.Request{})
			Equal(b, "order", b.Seen(r, 1)[0].Header.Get("x-order"), "pa")
		}},
		{Name: "1000 routes, each with its own", Run: func(b *Bed) {
			var routes []M
			for i := range 1000 {
				routes = append(routes, To("up", fmt.Sprintf("/body/%04d", i), b.PerRoute(Chain(cfg(M{"rate": i})))))
			}
			ln := b.Listen(Listen{Chain: Chain(cfg(base)), Routes: routes})
			for _, i := range []int{0, 1, 500, 999} {
				shown(b, get(b, ln, fmt.Sprintf("/body/%04d", i)), "rate", i, "a", "fa")
			}
		}},
		// This comes last: while its listener drains, whatever follows would be merged with it, too.
		{Name: "a configuration of 1 MiB", Run: func(b *Bed) {
			ln := b.Listen(Listen{Chain: Chain(cfg(M{"pad": strings.Repeat("x", 1<<20)}))})
			shown(b, get(b, ln, "/body/x"), "pad", 1<<20)
		}},
	}
}

// instanceScenarios: the same configuration is the same instance.
func instanceScenarios() []Scenario {
	count := func(ln *Listener, path string) string { return ln.Do(client.Request{Path: path}).Header.Get("x-count") }
	return []Scenario{
		{Name: "instance: survives an unrelated route push", Run: func(b *Bed) {
			route := To("up", "/body/r", b.PerRoute(Chain(cfg(M{"rate": 11}))))
			ln := b.Listen(Listen{RDS: true, Chain: Chain(cfg(M{"rate": 10})), Routes: []M{route, To("up", "/")}})
			Equal(b, "first", count(ln, "/body/x"), "1")
			Equal(b, "first of the route", count(ln, "/body/r"), "1")
			for i := range 3 {
				if err := ln.SetRoutes(To("up2", fmt.Sprintf("/body/new%d", i)), route, To("up", "/")); err != nil {
					b.Fatal(err)
				}
				Equal(b, "after a push", count(ln, "/body/x"), fmt.Sprint(i+2))
				Equal(b, "of the route after a push", count(ln, "/body/r"), fmt.Sprint(i+2))
			}
			changed := To("up", "/body/r", b.PerRoute(Chain(cfg(M{"rate": 12}))))
			if err := ln.SetRoutes(changed, To("up", "/")); err != nil {
				b.Fatal(err)
			}
			r := ln.Do(client.Request{Path: "/body/r"})
			shown(b, r, "rate", 12)
			Equal(b, "of the changed route", r.Header.Get("x-count"), "1")
			Equal(b, "of the filter, unchanged", count(ln, "/body/x"), "5")
		}},
		{Name: "instance: survives a push of its listener, ends with a change", Run: func(b *Bed) {
			spec := Listen{Chain: Chain(cfg(M{"rate": 20}))}
			ln := b.Listen(spec)
			Equal(b, "first", count(ln, "/body/x"), "1")
			spec.Routes = []M{To("up2", "/body/other"), To("up", "/")}
			if err := ln.Update(spec); err != nil {
				b.Fatal(err)
			}
			client.CloseIdle() // connections stay with the configuration that accepted them
			Equal(b, "after an unrelated push", count(ln, "/body/x"), "2")
			spec.Chain = Chain(cfg(M{"rate": 21}))
			if err := ln.Update(spec); err != nil {
				b.Fatal(err)
			}
			client.CloseIdle()
			r := ln.Do(client.Request{Path: "/body/x"})
			shown(b, r, "rate", 21)
			Equal(b, "after a change", r.Header.Get("x-count"), "1")
		}},
		{Name: "instance: shared by listeners, closed once by the last", Run: func(b *Bed) {
			b.Sweep()
			before := b.Live()
			l1 := b.Listen(Listen{Chain: Chain(cfg(M{"rate": 30}))})
			l2 := b.Listen(Listen{Chain: Chain(cfg(M{"rate": 30}))})
			Equal(b, "first", count(l1, "/body/x"), "1")
			Equal(b, "second, at another listener", count(l2, "/body/x"), "2")
			Equal(b, "provisioned", b.Live()["provisioned"]-before["provisioned"], 1)
			l1.Remove()
			Equal(b, "third", count(l2, "/body/x"), "3")
			Equal(b, "closed", b.Live()["closed"]-before["closed"], 0)
			client.CloseIdle()
			l2.Remove()
			b.Poll(func() error {
				if n := b.Live()["closed"] - before["closed"]; n != 1 {
					return fmt.Errorf("closed %d times", n)
				}
				return nil
			})
		}},
	}
}

// Sweep has Envoy forget the listeners of the scenarios before, and waits until their instances are closed.
func (b *Bed) Sweep() {
	b.Helper()
	b.Live() // there is a control listener from now on
	client.CloseIdle()
	if err := b.push(); err != nil {
		b.Fatal(err)
	}
	b.Poll(func() error {
		if now := b.Live(); now["provisioned"] != now["closed"] {
			return fmt.Errorf("%d instances were provisioned and %d closed", now["provisioned"], now["closed"])
		}
		return nil
	})
}

// consumerScenarios: the caller decides which further plugins run.
func consumerScenarios() []Scenario {
	doc := func() M {
		d := Chain(M{"name": "probekey", "config": M{"optional": true}}, Probe("p", "response_headers", "set x-p ${consumer}",
			"request_headers", "set x-consumer ${consumer}"))
		d["consumers"] = A{
			M{
				"name": "ann", "credentials": M{"probekey": M{"key": "a"}},
				"plugins": A{Probe("extra", "request_headers", "set x-extra ${consumer}", "response_headers", "set x-extra 1")},
			},
			M{
				"name": "bob", "credentials": M{"probekey": M{"key": "b"}},
				"plugins": A{M{"name": "probe", "id": "p", "config": M{"on": M{"response_headers": "set x-p bobs"}}}},
			},
			M{"name": "cid", "credentials": M{"probekey": M{"key": "c"}}},
		}
		return d
	}
	return []Scenario{{Name: "consumers: their plugins join the chain", Run: func(b *Bed) {
		ln := b.Listen(Listen{Chain: doc()})
		for _, c := range []struct{ key, consumer, extra, p string }{
			{"", "(none)", "", "(none)"}, {"a", "ann", "1", "ann"}, {"b", "bob", "", "bobs"}, {"c", "cid", "", "cid"},
		} {
			var h []string
			if c.key != "" {
				h = []string{"x-key", c.key}
			}
			r := ln.Do(client.Request{Header: h})
			Equal(b, "consumer "+c.key, b.Seen(r, 1)[0].Header.Get("x-consumer"), c.consumer)
			Equal(b, "extra plugin of "+c.key, r.Header.Get("x-extra"), c.extra)
			Equal(b, "merged plugin of "+c.key, r.Header.Get("x-p"), c.p)
		}
		Equal(b, "unknown", ln.Do(client.Request{Header: []string{"x-key", "z"}}).Status, 401)
	}}}
}
