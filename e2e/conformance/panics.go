package conformance

import (
	"fmt"
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
		{"request_headers", false, nil},
		{"request_body", false, nil},
		{"request_trailers", false, nil},
		{"request", false, []string{"request_headers", "waitbody"}},
		{"response_headers", false, nil},
		{"response_body", true, nil},
		{"response_trailers", true, nil},
		{"response", false, []string{"response_headers", "waitbody"}},
	} {
		for how, script := range map[string]string{"": "panic boom", " inside Go": "go; panic boom"} {
			id := fmt.Sprintf("b%d", len(rs)) // by which the metric counts
			rs = append(rs, row{
				name: "panic: in " + p.phase + how, req: post, status: 500, reset: p.reset,
				chain: []M{Probe(id, append(p.on, p.phase, script, "complete", "log info 'done ${req.x-id} ${status}'")...)},
				log:   `(?s)boom.*run\.go.*done ID`, // the value, the stack, the completion
				then:  counted(id),
			})
		}
	}
	rs = append(rs, []row{
		{
			name: "panic: in newStream", chain: []M{ProbeOf("probestream", "c0", "new_stream", "panic boom")},
			status: 500, log: `(?s)boom.*run\.go`, upNone: true, then: counted("c0"),
		},
		{
			name: "panic: in OnComplete", chain: []M{
				Probe("c1", "response_headers", "set x-seen 1", "complete", "panic boom"),
				Probe("q", "complete", "log info 'done ${req.x-id}'"),
			},
			headers: []string{"x-seen", "1"}, log: `(?s)boom.*run\.go`, then: func(b *Bed, r *client.Response) {
				b.WaitLog("done " + r.ID + `\b`) // the others complete all the same
				counted("c1")(b, r)
			},
		},
		{
			name: "panic: in a request's pipe", chain: []M{Probe("c2", "request_headers", "del content-length; pipe panic")},
			req: post, reset: true, log: `(?s)pipe-panic.*pipe\.go`, then: counted("c2"),
		},
		{
			name: "panic: in a response's pipe", chain: []M{Probe("c3", "response_headers", "del content-length; pipe panic")},
			req: post, reset: true, log: `(?s)pipe-panic.*pipe\.go`, then: counted("c3"),
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
	return rows(append(rs, badErrorRows()...))
}

// badErrorRows: what a plugin's errors and values do when the framework asks for their text is that plugin's trouble.
func badErrorRows() (rs []row) {
	for i, p := range []struct {
		on    []string
		reset bool
	}{
		{on: []string{"request_headers"}},
		{on: []string{"response_headers"}},
		{on: []string{"response_body"}, reset: true},
	} {
		for _, how := range []string{"nil", "panics", "exits"} {
			id := fmt.Sprintf("e%d%s", i, how)
			phase := p.on[len(p.on)-1]
			rs = append(rs, row{
				name: "panic: in the Error method of an error, " + how + ", in " + phase, req: client.Request{Path: "/body/x"},
				chain:  []M{Probe(id, append(p.on, "logbad "+how+"; failwith "+how)...)},
				status: 500, reset: p.reset, log: `(?s)bad value.*request failed`, then: counted(id),
			})
		}
	}
	return rs
}

// counted checks that the panic was counted for the plugin, and that the listeners serve on.
func counted(id string) func(*Bed, *client.Response) {
	return func(b *Bed, _ *client.Response) {
		b.WaitMetric("moe.panics", fmt.Sprintf("plugin=%q", id), 1)
		for _, l := range b.listeners {
			if r, err := client.Do(l.Addr, client.Request{Path: "/body/x"}); err == nil && r.Status == 0 {
				b.Errorf("the listener does not serve any more")
			}
		}
	}
}
