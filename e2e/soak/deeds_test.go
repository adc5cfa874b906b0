package soak

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/upstream"
	"mosn.io/moe/framework/filter"
)

const large = 10 << 20 // bytes of a large body

var largeBody = strings.Repeat("large body", large/10)

// deed is something that plugins, the client or an upstream do to a request. Each has a plugin of its own, whose scripts
// run for requests with the header x-do: NAME alone.
type deed struct {
	name    string
	weight  int // 1 by default
	needs   filter.Capability
	probe   []string                        // phase, script, phase, script …
	request func(*rand.Rand) client.Request // by default some bytes up and down
	wrong   func(r *client.Response) string // what is wrong with a whole response; by default all but a status of 200
	reset   bool                            // the response breaks off, or has a status of 500 or more
}

func deeds() []deed {
	const boom = "panic 'soak panic'"
	all := []deed{
		{name: "plain", weight: 8},
		{name: "large-up", request: func(*rand.Rand) client.Request {
			return client.Request{Path: "/echo", Body: largeBody}
		}, wrong: func(r *client.Response) string {
			var echo upstream.Echo
			if err := json.Unmarshal([]byte(r.Body), &echo); err != nil || echo.Bytes != large {
				return fmt.Sprintf("the upstream got %d bytes of %d (%v)", echo.Bytes, large, err)
			}
			return ""
		}},
		{name: "large-down", request: func(*rand.Rand) client.Request {
			return client.Request{Path: fmt.Sprintf("/bytes?n=%d", large)}
		}, wrong: func(r *client.Response) string {
			if r.Bytes != large {
				return fmt.Sprintf("got %d bytes of %d", r.Bytes, large)
			}
			return ""
		}},
		{name: "mirror", request: func(r *rand.Rand) client.Request {
			return client.Request{Path: "/mirror", Chunks: []string{"some ", strings.Repeat("b", r.IntN(20_000)), " end"}}
		}},
		{name: "reply", probe: []string{"request_headers", "reply 403 no"}, wrong: status(403)},
		{name: "late-reply", probe: []string{"response_headers", "go; sleep 3ms; reply 409 late"}, wrong: status(409)},
		{name: "reader", probe: []string{"request_headers", "reader 200 300000 pause=100us"}},
		{name: "wait", probe: []string{"request_headers", "go; wait"}, wrong: status(504)},
		{name: "async", probe: []string{
			"request_headers", "go; sleep 1ms", "request_body", "go; sleep 1ms", "response_headers", "go", "response_body", "go; sleep 1ms",
		}},
		{name: "whole", request: func(r *rand.Rand) client.Request {
			// No more than every host's buffer takes: that of the ext_proc server has 64 KiB.
			return client.Request{Path: fmt.Sprintf("/bytes?n=%d", r.IntN(60_000)), Body: strings.Repeat("b", 1+r.IntN(20_000))}
		}, probe: []string{
			"request_headers", "waitbody", "request", "go; sleep 1ms; body upper", "response_headers", "waitbody", "response", "go; body lower",
		}},
		{name: "pipe", probe: []string{"request_headers", "pipe upper", "response_headers", "pipe upper"}},
		{name: "methods", probe: []string{"request_headers", "race 4; go; race 4", "response_headers", "race 4", "complete", "race 2"}},
		{name: "upstream-aborts", request: func(*rand.Rand) client.Request { return client.Request{Path: "/abort"} }, reset: true},
		{
			name: "callout", needs: filter.CanCallout, weight: 2,
			probe: []string{"request_headers", "go; call other GET /bytes?n=20000", "response_headers", "go; call other POST /mirror body"},
		},
		{name: "callout-slow", needs: filter.CanCallout, probe: []string{"request_headers", "go; call other GET /bytes?n=20&chunk=1&pause=5ms"}},
		{name: "callout-hangs", needs: filter.CanCallout, probe: []string{"request_headers", "go; call other GET /hang '' 30ms"}},
		{name: "callout-dead", needs: filter.CanCallout, probe: []string{"request_headers", "go; call dead GET /"}},
		{name: "callout-nowhere", needs: filter.CanCallout, probe: []string{"request_headers", "go; call nosuch GET /"}},
		{name: "callout-reset", needs: filter.CanCallout, probe: []string{"request_headers", "go; call other GET /abort"}},
		{name: "background", needs: filter.CanCallout, probe: []string{"request_headers", "background other GET /bytes?n=200&chunk=10&pause=5ms; " +
			"background other GET /hang '' 50ms; background dead GET /; background other GET /abort"}},
	}
	for phase, first := range map[string]string{
		"request_headers": "", "request_body": "", "request_trailers": "", "request": "request_headers",
		"response_headers": "", "response_body": "", "response_trailers": "", "response": "response_headers",
	} {
		d := deed{
			name: "panic-" + phase, probe: []string{phase, boom}, wrong: status(500), request: func(*rand.Rand) client.Request {
				return client.Request{Path: "/echo?t=x-t:1", Body: "some body", Trailer: []string{"x-t", "1"}, H2: true}
			},
		}
		if first != "" {
			d.probe = append(d.probe, first, "waitbody")
		}
		if phase == "response_body" || phase == "response_trailers" {
			d.reset = true
		}
		all = append(all, d)
	}
	return append(all,
		deed{name: "panic-go", probe: []string{"request_headers", "go; " + boom}, wrong: status(500)},
		deed{name: "panic-pipe", probe: []string{"response_headers", "pipe panic"}, reset: true},
		deed{name: "panic-complete", probe: []string{"complete", boom}},
	)
}

func status(want int) func(*client.Response) string {
	return func(r *client.Response) string {
		if r.Status != want {
			return fmt.Sprintf("got status %d, want %d", r.Status, want)
		}
		return ""
	}
}

// send does the deed once. The error says what neither the client nor a plugin can have caused.
func (d *deed) send(addr string, r *rand.Rand, more client.Request) error {
	req := client.Request{Path: fmt.Sprintf("/bytes?n=%d", r.IntN(100_000)), Body: strings.Repeat("b", 1+r.IntN(20_000))}
	if d.request != nil {
		req = d.request(r)
	}
	req.H2 = req.H2 || more.H2
	// net/http may send again what has met a connection that was closed while it was idle.
	req.Header = append([]string{"x-do", d.name, "x-id", "soak", "x-idempotency-key", d.name}, more.Header...)
	req.Context = more.Context
	resp, err := client.Do(addr, req)
	if err == nil {
		err = resp.Err
	}
	switch {
	case d.reset && (err != nil || resp.Status >= 500):
		return nil
	case d.reset:
		return fmt.Errorf("%s: got status %d and a whole response, want a reset", d.name, resp.Status)
	case err != nil:
		return fmt.Errorf("%s: %w", d.name, err)
	}
	wrong := d.wrong
	if wrong == nil {
		wrong = status(200)
	}
	if text := wrong(resp); text != "" {
		return fmt.Errorf("%s: %s (body %.200q)", d.name, text, resp.Body)
	}
	return nil
}

// forHost returns the deeds that a host can do, each as often as its weight.
func forHost(h conformance.Host) (all []deed) {
	for _, d := range deeds() {
		if d.needs&^h.Capabilities() != 0 {
			continue
		}
		for range cmp.Or(d.weight, 1) {
			all = append(all, d)
		}
	}
	return all
}

// chain is the document in which every deed has its plugin.
func chain(h conformance.Host, generation int) m {
	plugins := []m{
		conformance.ProbeOf("probestream", "streams"),
		conformance.Probe("generation", "response_headers", fmt.Sprintf("set x-generation %d", generation)),
	}
	seen := map[string]bool{}
	for _, d := range forHost(h) {
		if d.probe == nil || seen[d.name] {
			continue
		}
		seen[d.name] = true
		on := make([]string, len(d.probe))
		for i := 0; i+1 < len(on); i += 2 {
			on[i], on[i+1] = d.probe[i], fmt.Sprintf("if ${req.x-do} %s; %s", d.name, d.probe[i+1])
		}
		plugins = append(plugins, conformance.Probe(d.name, on...))
	}
	doc := conformance.Chain(plugins...)
	doc["timeout"] = "5s" // one that comes too early, or a wake-up that is lost, shows as a 504
	return doc
}
