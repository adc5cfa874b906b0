package extproc

import (
	"testing"
	"time"

	"mosn.io/moe/e2e/client"
)

// TestNotUTF8 has clients send header values that are not UTF-8, which Envoy's attributes repeat as text.
func TestNotUTF8(t *testing.T) {
	onEach(t, func(b *bed) {
		_, serve := b.probes()
		server := serve(probe("proberequest",
			"request_headers", "set x-got ${req.x-in}; set x-agent ${attr.request.useragent}"))
		attributes := a{"request.useragent", "request.headers", "request.id"}
		front, stats := b.listen(modes("NONE", "request_attributes", attributes), server)
		const bad = "a\xffb"
		r, err := client.Do(front, client.Request{Path: "/body/x", Header: []string{
			"x-in", bad, "user-agent", bad, "x-request-id", bad,
		}})
		if err != nil || r.Status != 200 {
			b.Fatalf("client.Do: got %+v and error %v, want r.Status 200", r, err)
		}
		seen, err := b.up.Wait(r.ID, 1, 10*time.Second)
		if err != nil {
			b.Fatalf("b.up.Wait: %v", err)
		}
		if got := seen[0].Header.Get("x-got"); got != bad {
			b.Errorf("the value comes back as %q", got)
		}
		if got := seen[0].Header.Get("x-agent"); got != "a\uFFFDb" {
			b.Errorf("the attribute is %q", got)
		}
		if all, _ := b.envoy.Stats("^" + stats); all[stats+"streams_failed"] != 0 {
			b.Errorf("failed: %v", all)
		}
	})
}
