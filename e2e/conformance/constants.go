package conformance

import (
	"fmt"
	"slices"

	"mosn.io/moe/e2e/client"
)

// setter writes a plugin that sets the same headers in all streams.
func setter(id string, config M) M { return plugin("probesetter", id, config) }

// answers writes one that sets a header of responses.
func answers(id, name string, values ...any) M { return setter(id, M{"response": M{name: A(values)}}) }

// constantScenarios are about headers that plugins set in all streams, so that a host may do it without them.
func constantScenarios() []Scenario {
	return append(rows(constantRows()), []Scenario{
		{Name: "constant headers: of a route", Run: func(b *Bed) {
			off := answers("p", "x-p", "filter")
			off["disabled"] = true
			ln := b.Listen(Listen{Chain: Chain(answers("p", "x-p", "filter"), answers("q", "x-q", "q")), Routes: []M{
				To("up", "/body/r", b.PerRoute(Chain(answers("p", "x-p", "route")))),
				To("up", "/body/off", b.PerRoute(Chain(off))), To("up", "/"),
			}})
			for path, want := range map[string]string{"/body/r": "route", "/body/off": "", "/body/x": "filter"} {
				r := ln.Do(client.Request{Path: path})
				Equal(b, path+": x-p", r.Header.Get("x-p"), want)
				Equal(b, path+": x-q", r.Header.Get("x-q"), "q")
			}
		}},
		{Name: "constant headers: of a consumer", Run: func(b *Bed) {
			doc := Chain(M{"name": "probekey", "config": M{}}, answers("p", "x-p", "all"))
			doc["consumers"] = A{
				M{"name": "one", "credentials": M{"probekey": M{"key": "1"}}, "plugins": A{answers("p", "x-p", "one")}},
				M{"name": "two", "credentials": M{"probekey": M{"key": "2"}}},
			}
			ln := b.Listen(Listen{Chain: doc})
			for key, want := range map[string]string{"1": "one", "2": "all"} {
				Equal(b, "x-p of "+key, ln.Do(client.Request{Header: []string{"x-key", key}}).Header.Get("x-p"), want)
			}
		}},
		{Name: "constant headers: the debug view shows them", Run: func(b *Bed) {
			ln := b.Listen(Listen{Chain: debugChain(M{"record": true, "when": M{"sample": 1}}, answers("p", "x-p", "1"))})
			id := "constant-" + client.NewID()
			Equal(b, "x-p", ln.Do(client.Request{Header: []string{"x-request-id", id}}).Header.Get("x-p"), "1")
			var got []string
			for _, s := range b.record(id).Steps {
				got = append(got, fmt.Sprint(s.Plugin, " ", s.Phase, " ", s.Changed))
			}
			if want := "p OnResponseHeaders [{x-p -1 1}]"; !slices.Contains(got, want) {
				b.Errorf("steps: got %q, want %q", got, want)
			}
		}},
	}...)
}

func constantRows() []row {
	return []row{
		{
			name: "constant headers: set, replaced, removed",
			chain: []M{setter("p", M{
				"request":  M{"X-New": A{"1", "2"}, "x-in": A{"new"}, "x-gone": A{}},
				"response": M{"x-down": A{"1", "2"}, "content-type": A{"text/plain"}, "x-none": A{}},
			})},
			req:     client.Request{Header: []string{"x-in", "1", "x-in", "2", "x-gone", "1"}},
			up:      []string{"x-new", "1|2", "x-in", "new", "x-gone", "-"},
			headers: []string{"x-down", "1|2", "content-type", "text/plain", "x-none", "-"},
		},
		{
			name: "constant headers: in their place among phases",
			chain: []M{
				Probe("p", "response_headers", "set x-p ${all.x-r}; set x-r p"),
				answers("q", "x-r", "q"),
				Probe("r", "response_headers", "set x-r r"),
			},
			headers: []string{"x-p", "q", "x-r", "p"},
		},
		{
			name:    "constant headers: the first plugin's win in the response",
			chain:   []M{answers("p", "x-r", "p"), answers("q", "x-r", "q")},
			headers: []string{"x-r", "p"},
		},
		{
			name: "constant headers: a reply passes the plugins before",
			chain: []M{
				answers("before", "x-before", "1"), Probe("p", "request_headers", "reply 418 tea"), answers("after", "x-after", "1"),
			},
			status: 418, body: "tea", headers: []string{"x-before", "1", "x-after", "-"}, upNone: true,
		},
		{
			name: "constant headers: a reply of a goroutine",
			chain: []M{
				answers("before", "x-before", "1"), Probe("p", "request_headers", "go; reply 418 tea"), answers("after", "x-after", "1"),
			},
			status: 418, headers: []string{"x-before", "1", "x-after", "-"}, upNone: true,
		},
		{
			name:    "constant headers: read at the end",
			chain:   []M{Probe("p", "complete", traceTo), answers("q", "x-q", "1")},
			headers: []string{"x-q", "1"},
		},
		{
			name: "constant headers: of a local reply of Envoy's",
			listen: Listen{
				Chain:  Chain(answers("p", "x-p", "1")),
				Routes: []M{{"match": M{"prefix": "/"}, "direct_response": M{"status": 404}}},
			},
			status: 404, headers: []string{"x-p", "1"}, upNone: true,
		},
	}
}
