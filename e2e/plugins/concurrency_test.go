package plugins

import (
	"context"
	"fmt"
	"sync"
	"time"

	"mosn.io/moe/e2e/client"
)

// hang sends a request that stays in flight until the function it returns is called.
func (l *listener) hang(header ...string) (leave func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil { // one that another request leaves no slot is sent again
			_, _ = client.Do(l.Addr, client.Request{Path: "/hang", Header: header, Context: ctx}) // that it fails is how it ends
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// finds polls until a request has a status.
func (l *listener) finds(status int, path string, header ...string) {
	l.b.Helper()
	l.b.Poll(func() error {
		if r := l.get(path, header...); r.Status != status {
			return fmt.Errorf("%s %v: got %d, want %d", path, header, r.Status, status)
		}
		return nil
	})
}

func init() {
	add("concurrency: slots by key, route and consumer", func(b *bed) {
		ln := b.listen(`
plugins:
- {name: keyauth}
- {name: concurrency, id: slots, config: {rules: [{max: 2, key: [{from: consumer}]}]}}
consumers:
- {name: alice, credentials: {keyauth: {key: a}}}
- {name: bob, credentials: {keyauth: {key: b}}}
- name: carol
  credentials: {keyauth: {key: c}}
  plugins: [{name: concurrency, id: slots, config: {rules: [{max: 1}]}}]
`, route{"/body/", `plugins: [{name: concurrency, id: slots, disabled: true}]`})
		first, second := ln.hang("x-api-key", "a"), ln.hang("x-api-key", "a")
		ln.finds(503, "/echo", "x-api-key", "a")
		r := ln.get("/echo", "x-api-key", "a")
		if r.Header.Get("retry-after") != "1" || b.reached(r) || b.Access(r.ID)["details"] != "moe.concurrency.limited" {
			b.Errorf("got %d %v, want 503 with retry-after from the plugin", r.Status, r.Header)
		}
		for _, c := range []struct{ path, key string }{{path: "/echo", key: "b"}, {path: "/echo", key: "c"}, {path: "/body/x", key: "a"}} {
			if r := ln.get(c.path, "x-api-key", c.key); r.Status != 200 {
				b.Errorf("%s for %s: got %d, want 200", c.path, c.key, r.Status)
			}
		}
		own := ln.hang("x-api-key", "c")
		ln.finds(503, "/echo", "x-api-key", "c")
		first()
		own()
		ln.finds(200, "/echo", "x-api-key", "a")
		ln.finds(200, "/echo", "x-api-key", "c")
		second()
		ln.get("/abort", "x-api-key", "c") // requests that fail give their slots back, too
		ln.finds(200, "/echo", "x-api-key", "c")
	})

	add("concurrency: requests that wait", func(b *bed) {
		ln := b.listen(`plugins: [{name: concurrency, id: queue, config: {rules: [{max: 1, queue: 3, maxWait: 10s,
			priority: "'x-priority' in request.headers ? 9 : 0"}]}}]`)
		leave := ln.hang()
		// until polls with requests that leave when they have to wait.
		until := func(what string, ok func(status int, waits bool) bool) {
			b.Poll(func() error {
				ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
				defer cancel()
				r, err := client.Do(ln.Addr, client.Request{Context: ctx})
				if ok(r.Status, err != nil) {
					return nil
				}
				return fmt.Errorf("got %d, %v; want %s", r.Status, err, what)
			})
		}
		until("a request that waits", func(_ int, waits bool) bool { return waits })
		var wg sync.WaitGroup
		for range 3 { // they wait, unless one that polls still has their place, or one with a higher priority takes it
			wg.Go(func() { ln.finds(200, "/bytes?n=2&chunk=1&pause=50ms") })
		}
		until("503, as the queue is full", func(status int, waits bool) bool { return !waits && status == 503 })
		time.AfterFunc(100*time.Millisecond, leave)
		if r := ln.get("/echo", "x-priority", "yes"); r.Status != 200 {
			b.Errorf("with a higher priority: got %d, want 200", r.Status)
		}
		wg.Wait()
		ln.finds(200, "/echo")
	})
}
