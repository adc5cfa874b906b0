package plugins

import (
	"fmt"
	"sync"
	"time"

	"mosn.io/moe/e2e/conformance"
)

// passes checks how many of n requests to a path pass, and that the others are refused with 429 and without reaching the
// upstream.
func (l *listener) passes(want, n int, path string, header ...string) {
	l.b.Helper()
	passed := 0
	for range n {
		switch r := l.get(path, header...); {
		case r.Status == 200:
			passed++
		case r.Status != 429 || r.Header.Get("retry-after") == "" || l.b.reached(r):
			l.b.Errorf("%s %v: got %d %v, want 200, or 429 with retry-after", path, header, r.Status, r.Header)
		}
	}
	if passed != want {
		l.b.Errorf("%s %v: %d of %d requests pass, want %d", path, header, passed, n, want)
	}
}

func init() {
	add("ratelimit: keys, rules, routes and consumers", func(b *bed) {
		ln := b.listen(`
plugins:
- {name: keyauth}
- {name: ratelimit, id: limit, config: {rules: [
    {name: hour, limit: 3, per: 1h, key: [{from: consumer}, {from: path, segments: 1}]},
    {name: expensive, limit: 10, per: 1h, algorithm: fixedWindow, when: "request.query.size() > 0", costExpression: "int(request.query['n'][0])"}]}}
consumers:
- {name: alice, credentials: {keyauth: {key: a}}}
- {name: bob, credentials: {keyauth: {key: b}}}
- name: carol
  credentials: {keyauth: {key: c}}
  plugins: [{name: ratelimit, id: limit, config: {rules: [{limit: 1, per: 1h, algorithm: slidingWindow}], headers: refusals}}]
`, route{"/body/", `plugins: [{name: ratelimit, id: limit, config: {rules: [{limit: 2, per: 1h, algorithm: gcra, burst: 2}]}}]`})
		r := ln.get("/echo", "x-api-key", "a")
		if got, want := r.Header.Get("ratelimit"), `"hour";r=2;t=1200`; r.Status != 200 || got != want {
			b.Errorf("got %d with ratelimit %q, want 200 with %q", r.Status, got, want)
		}
		if got, want := r.Header.Get("ratelimit-policy"), `"hour";q=3;w=3600, "expensive";q=10;w=3600`; got != want {
			b.Errorf("ratelimit-policy is %q, want %q", got, want)
		}
		ln.passes(2, 4, "/echo", "x-api-key", "a")
		ln.passes(3, 4, "/echo/x", "x-api-key", "b")
		ln.passes(1, 3, "/echo", "x-api-key", "c")
		ln.passes(2, 3, "/body/x", "x-api-key", "a")
		r = ln.get("/other?n=11", "x-api-key", "a")
		if r.Status != 429 || r.Header.Get("retry-after") != "" || b.Access(r.ID)["details"] != "moe.ratelimit.limited" {
			b.Errorf("more than there ever is: got %d %v, want 429 without retry-after", r.Status, r.Header)
		}
		if r := ln.get("/other?n=x", "x-api-key", "a"); r.Status != 503 || b.reached(r) {
			b.Errorf("a cost that does not parse: got %d, want 503", r.Status)
		}
		b.WaitMetric("moe.limit.limited", "hour", 3)
	})

	add("ratelimit: counts survive pushes of other things", func(b *bed) {
		doc := func(version string, limit int) any {
			return b.parse(fmt.Sprintf(`plugins: [{name: ratelimit, config: {rules: [{limit: %d, per: 1h, when: "request.query == {}"}]}},
				{name: headermutation, config: {response: {set: {x-version: "%s"}}}}]`, limit, version))
		}
		l := conformance.Listen{Chain: doc("first", 4)}
		ln := &listener{b.Listen(l), b}
		// The old listener goes on to serve connections that it has for a while, with the same counts.
		push := func(version string, limit int) {
			l.Chain = doc(version, limit)
			if err := ln.Update(l); err != nil {
				b.Fatalf("ln.Update: %v", err)
			}
			b.Poll(func() error {
				if got := ln.get("/echo?uncounted").Header.Get("x-version"); got != version {
					return fmt.Errorf("the version %s serves, want %s", got, version)
				}
				return nil
			})
		}
		ln.passes(2, 2, "/echo")
		for i := range 5 {
			push(fmt.Sprint("next", i), 4)
		}
		ln.passes(2, 4, "/echo")
		push("last", 5) // another limit is another count
		ln.passes(5, 6, "/echo")
	})

	add("ratelimit: delay and shadow", func(b *bed) {
		ln := b.listen(`plugins: [{name: ratelimit, config: {rules: [{limit: 10, per: 1s, burst: 1, maxDelay: 2s}]}}]`)
		start := time.Now()
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				if r := ln.get("/echo"); r.Status != 200 {
					b.Errorf("got %d, want 200 after a delay", r.Status)
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took < 500*time.Millisecond {
			b.Errorf("six requests at ten a second took %v, want half a second at least", took)
		}
		ln = b.listen(`plugins: [{name: ratelimit, id: dry, config: {rules: [{limit: 1, per: 1h}], shadow: true}}]`)
		ln.passes(3, 3, "/echo")
		b.WaitMetric("moe.dry.shadow_limited", "default", 2)
	})
}
