package plugins

import (
	"strings"
	"time"
)

func init() {
	add("fault: delay, abort, bandwidth, headers, consumers", func(b *bed) {
		ln := b.listen(`
plugins: [{name: keyauth}, {name: fault, config: {abort: {status: 418}}}]
consumers:
- {name: one, credentials: {keyauth: {key: "1"}}}
- {name: two, credentials: {keyauth: {key: "2"}}, plugins: [{name: fault, config: {abort: {percentage: 0}, delay: {for: 200ms}}}]}
`,
			route{"/echo/reset", `plugins: [{name: fault, config: {abort: {reset: true}}}]`},
			route{"/bytes", `plugins: [{name: fault, config: {abort: {percentage: 0}, bandwidth: {response: 10KiB}}}]`},
			route{"/body/by", `plugins: [{name: fault, config: {abort: {percentage: 0}, byHeader: {statuses: [503], maxDelay: 100ms}}}]`})
		if r := ln.get("/echo", "x-api-key", "1"); r.Status != 418 || b.reached(r) {
			b.Errorf("abort: got %d, want 418", r.Status)
		}
		start := time.Now()
		if r := ln.get("/echo", "x-api-key", "2"); r.Status != 200 || time.Since(start) < 200*time.Millisecond {
			b.Errorf("delay for a consumer: got %d after %v, want 200 after 200ms", r.Status, time.Since(start))
		}
		start = time.Now()
		if r := ln.get("/bytes?n=5000", "x-api-key", "1"); r.Status != 200 || r.Bytes != 5000 || r.Err != nil ||
			time.Since(start) < 400*time.Millisecond {
			b.Errorf("bandwidth: got %d with %d bytes, %v, after %v; want 5000 after half a second", r.Status, r.Bytes, r.Err, time.Since(start))
		}
		const abort, delay = "x-envoy-fault-abort-request", "x-envoy-fault-delay-request"
		r := ln.get("/body/by", "x-api-key", "1", abort, "503", delay, "50")
		if r.Status != 503 || !strings.Contains(r.Body, "fault injected") {
			b.Errorf("by header: got %d %q, want 503", r.Status, r.Body)
		}
		r = ln.get("/body/by", "x-api-key", "1", abort, "500", delay, "5000")
		if r.Status != 200 || b.upstream(r).Header.Get(abort) != "" {
			b.Errorf("by header, out of bounds: got %d, upstream sees %v; want 200 without the header", r.Status, b.upstream(r).Header)
		}
		b.WaitMetric("moe.fault.refused", "", 2)
	})
}
