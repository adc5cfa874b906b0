package conformance

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/probes"
	"mosn.io/moe/framework/filter"
)

// lifeScenarios use a stream while another thread works on it, and after its end.
func lifeScenarios() []Scenario {
	return []Scenario{
		{Name: "callout: given up as its stream ends", Needs: filter.CanCallout, Run: giveUpAtTheEnd},
		{Name: "route: asked for where Envoy looks for none any more", Run: routeAtTheEnd},
	}
}

// routeAtTheEnd asks for the cluster of a stream that has no route and will get none. Envoy crashes if it is made to look
// for a route then.
func routeAtTheEnd(b *Bed) {
	const told = "log info 'told ${req.x-id} ${attr.xds.cluster_name}'"
	for _, c := range []struct {
		name, on, script string
		request          string // raw, with x-id: ID; by default a good one
	}{
		{name: "cleared with the response's headers", on: "response_headers", script: "clearroute"},
		{name: "cleared with the response's body", on: "response_body", script: "clearroute"},
		{name: "cleared with the request's body", on: "request_body", script: "clearroute"},
		{name: "cleared after the response", on: "response_headers", script: "go; sleep 2ms; clearroute"},
		{name: "cleared at the end", on: "complete", script: "clearroute"},
		{name: "cleared before a reply", on: "request_headers", script: "clearroute; reply 403 no"},
		{name: "cleared before a later reply", on: "request_headers", script: "clearroute; go; sleep 2ms; reply 403 no"},
		{name: "never looked for: no host", on: "response_headers", request: "GET / HTTP/1.1\nx-id: ID\n\n"},
		{name: "never looked for: no path", on: "response_headers", request: "OPTIONS * HTTP/1.1\nhost: x\nx-id: ID\n\n"},
	} {
		ln := b.Listen(Listen{Chain: Chain(
			Probe("p", c.on, c.script, "complete", told),
			Probe("q", "response_body", "note ${attr.xds.cluster_name}", "response_trailers", "note ${attr.xds.cluster_name}"),
		)})
		id := client.NewID()
		if c.request != "" {
			client.Raw(ln.Addr, strings.ReplaceAll(c.request, "ID", id), time.Second)
		} else {
			client.Do(ln.Addr, client.Request{
				Path: "/echo?t=x-t:1", Header: []string{"x-id", id}, Body: "body", Trailer: []string{"x-t", "1"}, H2: true,
			})
		}
		if err := b.Envoy.Alive(); err != nil {
			b.Fatalf("%s: %v", c.name, err)
		}
		if c.request == "" || b.Host.Capabilities()&filter.CanUseFilterState != 0 { // ext_proc is not asked about the others
			b.WaitLog("told " + id)
		}
	}
}

// giveUpAtTheEnd has plugins cancel their callouts, and clients disconnect, while Envoy's thread is blocked. Envoy may then
// see the end of the stream first, and reset the callout afterwards.
func giveUpAtTheEnd(b *Bed) {
	ln := b.Listen(Listen{Chain: Chain(ProbeOf("probestream", "s"), Probe("p", "request_headers",
		"if ${req.x-do} call; go; call other GET /hang '' 20ms; wait"))})
	jam := b.Listen(Listen{Chain: Chain(Probe("p", "request_headers", "jam 20ms"))})
	before := b.Live()
	for range 20 {
		leave, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				client.Do(ln.Addr, client.Request{Context: leave, H2: i%2 == 0, Header: []string{"x-do", "call"}})
			})
		}
		for range 4 {
			wg.Go(func() { client.Do(jam.Addr, client.Request{Context: leave}) })
		}
		wg.Wait()
		cancel()
	}
	CompletedAll(b, before)
	Equal(b, "the listener's next answer", ln.Do(client.Request{}).Status, 200)
}

// MethodScenarios call every method of a stream after every other one: in every phase, outside of any, and from other
// goroutines.
func MethodScenarios() []Scenario {
	var out []Scenario
	for _, where := range []string{"here", "away"} {
		first := map[string]string{"here": "in the phase", "away": "on another goroutine"}[where]
		out = append(out,
			Scenario{
				Name: "methods: all on other goroutines while a phase stands still, the first " + first,
				Run:  func(b *Bed) { everyMethod(b, where, "") },
			},
			Scenario{
				Name: "methods: all on other goroutines between phases, the first " + first,
				Run:  func(b *Bed) { everyMethod(b, where, "go; ") },
			})
	}
	return out
}

func everyMethod(b *Bed, where, before string) {
	const each = 4
	errs := make(chan error)
	sent := 0
	for _, first := range probes.Methods() {
		every := fmt.Sprintf("every %s %s", first, where)
		in := before + every
		ln := b.Listen(Listen{Chain: Chain(
			ProbeOf("probestream", "s", "new_stream", every),
			Probe("streams", "request_headers", in, "request_body", in, "request_trailers", in,
				"response_headers", in, "response_body", in, "response_trailers", in, "complete", every),
			Probe("waits", "request_headers", "waitbody", "request", in,
				"response_headers", "waitbody", "response", in+"; set x-first "+first),
		)})
		for range each {
			sent++
			go func() {
				r, err := client.Do(ln.Addr, client.Request{
					Body: "body", Trailer: []string{"x-t", "1"}, Path: "/echo?t=x-t:1", H2: true,
				})
				if err != nil || r.Err != nil || r.Status != 200 || r.Header.Get("x-first") != first {
					err = fmt.Errorf("first %s: got status %d, x-first %q, errors %v and %v; want 200, %q",
						first, r.Status, r.Header.Get("x-first"), err, r.Err, first)
				}
				errs <- err
			}()
		}
	}
	failed := 0
	for range sent {
		if err := <-errs; err != nil {
			if failed++; failed == 1 { // which is the one that tells
				b.Error(err)
			}
		}
	}
	if failed > 1 {
		b.Errorf("%d of %d requests failed in all", failed, sent)
	}
	b.Poll(zero(b, "goroutines"))
}
