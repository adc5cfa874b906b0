package traces

import (
	"fmt"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/conformance"
)

// What plugins log reaches the collector with its level, what it is of, and the ids of the stream's trace.
func exportedLogs(b *conformance.Bed) {
	p := conformance.Probe("p", "request_headers", "log debug 'fine ${req.x-id}'; log warn 'luckless ${req.x-id}'")
	p["logLevel"] = "debug"
	ln := b.Listen(conformance.Listen{Chain: conformance.Chain(p), Routes: []m{conformance.To("up", "/", m{"name": "orders"})}})
	trace := newTrace()
	r := ln.Do(client.Request{Header: []string{"traceparent", "00-" + trace + "-" + clientSpan + "-01", "x-request-id", "logged"}})
	for level, message := range map[string]string{"DEBUG": "fine " + r.ID, "WARN": "luckless " + r.ID} {
		b.Run(level, func() {
			var line logRecord
			b.Poll(func() (err error) {
				var come bool
				if line, come = traces.line(message); !come {
					return fmt.Errorf("the collector has no line %q", message)
				}
				return nil
			})
			got := map[string]string{"service": line.Service, "level": line.Level, "trace": line.TraceID}
			for _, name := range []string{"plugin", "route", "request_id"} {
				got[name] = span{Attributes: line.Attributes}.attr(name)
			}
			want := map[string]string{
				"service": "moe", "level": level, "trace": trace, "plugin": "p", "route": "orders", "request_id": "logged",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				b.Errorf("the line (-want +got):\n%s", diff)
			}
			if line.SpanID == "" {
				b.Errorf("the line has no span, want one of the trace: %+v", line)
			}
		})
	}
}
