package conformance

import (
	"strings"

	"mosn.io/moe/e2e/client"
)

// panicScenarios: a plugin's panic is that request's trouble, not Envoy's.
func panicScenarios() []Scenario {
	post := client.Request{Body: "body", Trailer: []string{"x-t", "1"}, Path: "/echo?t=x-t:1", H2: true}
	var rs []row
	for _, p := range []struct {
		phase string
		reset bool
		on    []string
	}{
		{"request_headers", false, nil}, {"request_body", false, nil}, {"request_trailers", false, nil},
		{"request", false, []string{"request_headers", "waitbody"}},
		{"response_headers", false, nil}, {"response_body", true, nil}, {"response_trailers", true, nil},
		{"response", false, []string{"response_headers", "waitbody"}},
	} {
		for how, script := range map[string]string{"": "panic boom", " inside Go": "go; panic boom"} {
			r := row{
				name: "panic: in " + p.phase + how, req: post, status: 500, reset: p.reset,
				chain: []M{Probe("p", append(p.on, p.phase, script, "complete", "log info 'done ${req.x-id} ${status}'")...)},
				log:   `(?s)boom.*run\.go.*done ID`, // the value, the stack, the completion
				then:  afterPanic,
			}
			rs = append(rs, r)
		}
	}
	rs = append(rs, []row{
		{
			name: "panic: in newStream", chain: []M{ProbeOf("probestream", "p", "new_stream", "panic boom")},
			status: 500, log: `(?s)boom.*run\.go`, upNone: true, then: afterPanic,
		},
		{
			name: "panic: in OnComplete", chain: []M{Probe("p", "response_headers", "set x-seen 1", "complete", "panic boom"),
				Probe("q", "complete", "log info 'done ${req.x-id}'")},
			headers: []string{"x-seen", "1"}, log: `(?s)boom.*run\.go`, then: func(b *Bed, r *client.Response) {
				b.WaitLog("done " + r.ID + `\b`) // the others complete all the same
				afterPanic(b, r)
			},
		},
		{
			name: "panic: in a request's pipe", chain: []M{Probe("p", "request_headers", "del content-length; pipe panic")},
			req: post, status: 500, log: `(?s)pipe-panic.*pipe\.go`, then: afterPanic,
		},
		{
			name: "panic: in a response's pipe", chain: []M{Probe("p", "response_headers", "del content-length; pipe panic")},
			req: post, reset: true, log: `(?s)pipe-panic.*pipe\.go`, then: afterPanic,
		},
		{
			name: "panic: the body says nothing of it", chain: []M{Probe("p", "request_headers", "panic boom")}, status: 500,
			then: func(b *Bed, r *client.Response) {
				if strings.Contains(r.Body, "boom") {
					b.Errorf("the panic got out: %q", r.Body)
				}
			},
		},
	}...)
	return rows(rs)
}

// afterPanic: it was counted, and the listener serves on.
func afterPanic(b *Bed, _ *client.Response) {
	b.WaitMetric("moe.p.panics", "", 1)
	for _, l := range b.listeners {
		if l.spec.keep {
			continue
		}
		if r, err := client.Do(l.Addr, client.Request{}); err == nil && r.Status == 0 {
			b.Errorf("the listener does not serve any more")
		}
	}
}
