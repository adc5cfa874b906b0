package conformance

import (
	"context"
	"fmt"
	"strings"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/framework/filter"
)

// calloutScenarios are HTTP requests that plugins make over Envoy's clusters.
func calloutScenarios() []Scenario {
	return append(rows(calloutRows()), append(calloutStreamScenarios(), retryScenarios()...)...)
}

func calloutRows() []row {
	get := func(name, call string, want ...string) row {
		return row{
			name: "callout: " + name, needs: filter.CanCallout,
			chain: []M{Probe("p", "request_headers", "go; "+call+"; set x-got '${last}'")}, up: append([]string{"x-got"}, want...),
		}
	}
	fails := func(name, call, why string) row {
		r := get(name, call)
		r.up = nil
		r.then = func(b *Bed, resp *client.Response) {
			got := b.Seen(resp, 1)[0].Header.Get("x-got")
			if !strings.HasPrefix(got, "error") || !strings.Contains(got, why) {
				b.Errorf("got %q, want an error with %q", got, why)
			}
		}
		return r
	}
	return []row{
		get("GET", "call other GET /body/hello", "200 5 "+sumOf("hello")+"  hello"),
		get("an empty body", "call other GET /body/", "200 0 "+sumOf("")),
		get("a status", "call other GET /echo?status=204", "204 0 "+sumOf("")+" /echo?status=204"),
		get("over HTTP/2", "call up2 GET /body/hello", "200 5 "+sumOf("hello")+"  hello"),
		get("POST with a body", "call other POST /mirror some-body", "200 9 "+sumOf("some-body")+"  some-body"),
		get("a large answer streams", "call other GET /bytes?n=3000000",
			"200 3000000 "+sum(3000000)[:8]+"  "+patternHead(200)),
		get("a slow answer streams", "call other GET /bytes?n=50&chunk=10&pause=5ms", "200 50 "+sum(50)[:8]+"  "+patternHead(50)),
		fails("an unknown cluster", "call nosuch GET /body/x", "nosuch"),
		fails("an upstream that breaks off", "call other GET /abort", ""),
		fails("a deadline", "call other GET /hang '' 100ms", "deadline"),
		{
			name: "callout: an upstream that refuses is answered by Envoy", needs: filter.CanCallout,
			chain: []M{Probe("p", "request_headers", "go; call dead GET /body/x; set x-got '${last}'")},
			then: func(b *Bed, r *client.Response) {
				Contains(b, "x-got", b.Seen(r, 1)[0].Header.Get("x-got"), "503 ")
			},
		},
		{
			name: "callout: in the phases of the response", needs: filter.CanCallout,
			chain: []M{Probe("p", "response_headers", "go; call other GET /body/h; set x-got '${last}'; waitbody",
				"response", "go; call other GET /body/b; set x-two '${last}'")},
			headers: []string{"x-got", "200 1 " + sumOf("h") + "  h", "x-two", "200 1 " + sumOf("b") + "  b"},
		},
		{
			name: "callout: several after each other, in several plugins", needs: filter.CanCallout,
			chain: []M{
				Probe("p", "request_headers", "go; call other GET /body/1; call other GET /body/2; set x-p '${last}'"),
				Probe("q", "request_headers", "go; call up2 GET /body/3; set x-q '${last}'"),
			},
			up: []string{"x-p", "200 1 " + sumOf("2") + "  2", "x-q", "200 1 " + sumOf("3") + "  3"},
		},
		{
			name: "callout: decides", needs: filter.CanCallout,
			chain:  []M{Probe("p", "request_headers", "go; call other GET /echo?status=403; reply 403 '${last}'")},
			status: 403, upNone: true,
		},
	}
}

func sumOf(s string) string { return hashOf(s)[:8] }

func calloutStreamScenarios() []Scenario {
	return []Scenario{
		{Name: "callout: from the background, without a stream", Needs: filter.CanCallout, Run: func(b *Bed) {
			id1, id2 := "bg"+client.NewID(), "bg"+client.NewID()
			ln := b.Listen(Listen{Chain: Chain(Probe(id1, "provision", "background other POST /mirror from-provision"),
				Probe(id2, "request_headers", "background up2 GET /bytes?n=200000"))})
			ln.Do(client.Request{})
			for id, want := range map[string]string{id1: "200 14 " + sumOf("from-provision"), id2: "200 200000 " + sum(200000)[:8]} {
				b.Poll(func() error {
					if got := b.Background()[id]; !strings.HasPrefix(got, want) {
						return fmt.Errorf("%s: got %q, want %q", id, got, want)
					}
					return nil
				})
			}
		}},
		{Name: "callout: from the background, failing", Needs: filter.CanCallout, Run: func(b *Bed) {
			id1, id2 := "bg"+client.NewID(), "bg"+client.NewID()
			ln := b.Listen(Listen{Chain: Chain(Probe(id1, "request_headers", "background nosuch GET /"),
				Probe(id2, "request_headers", "background other GET /hang '' 100ms"))})
			ln.Do(client.Request{})
			for _, id := range []string{id1, id2} {
				b.Poll(func() error {
					if got := b.Background()[id]; !strings.HasPrefix(got, "error") {
						return fmt.Errorf("%s: got %q, want an error", id, got)
					}
					return nil
				})
			}
		}},
		{Name: "callout: ends with the stream that it belongs to", Needs: filter.CanCallout, Run: func(b *Bed) {
			ln := b.Listen(Listen{Chain: Chain(ProbeOf("probestream", "s"), Probe("p", "request_headers",
				"log info 'calling ${req.x-id}'; go; call other GET /hang; log info 'called ${req.x-id} ${last}'"))})
			before := b.Live()
			for range 5 {
				ctx, cancel := context.WithCancel(context.Background())
				id := client.NewID()
				done := make(chan struct{})
				go func() {
					defer close(done)
					client.Do(ln.Addr, client.Request{Context: ctx, Header: []string{"x-id", id}})
				}()
				b.WaitLog("calling " + id + `\b`)
				cancel()
				<-done
			}
			CompletedAll(b, before)
		}},
		{Name: "callout: fifty at once", Needs: filter.CanCallout, Run: func(b *Bed) {
			ln := b.Listen(Listen{Chain: Chain(Probe("p", "request_headers",
				"go; call other GET /bytes?n=100000; set x-got '${last}'", "response_headers", "set x-got '${req.x-got}'"))})
			errs := make(chan error, 50)
			want := "200 100000 " + sum(100000)[:8]
			for i := range cap(errs) {
				go func() {
					r, err := client.Do(ln.Addr, client.Request{Path: "/body/x", H2: i%2 == 0})
					if err == nil && !strings.HasPrefix(r.Header.Get("x-got"), want) {
						err = fmt.Errorf("got %q", r.Header.Get("x-got"))
					}
					errs <- err
				}()
			}
			for range cap(errs) {
				if err := <-errs; err != nil {
					b.Error(err)
				}
			}
		}},
	}
}

// retryScenarios: Envoy's router keeps the request to send it again, in the buffer that all filters share.
func retryScenarios() []Scenario {
	retry := M{"retry_on": "5xx", "num_retries": 3, "retry_back_off": M{"base_interval": "0.001s", "max_interval": "0.002s"}}
	var out []Scenario
	for name, on := range map[string][]string{
		"a plugin that streams":   {"request_body", "body upper"},
		"one that is async":       {"request_headers", "go; sleep 1ms", "request_body", "go; sleep 1ms; body upper"},
		"one that waits":          {"request_headers", "waitbody", "request", "body upper"},
		"one that waits, async":   {"request_headers", "waitbody", "request", "go; sleep 1ms; body upper"},
		"one that takes a prefix": {"request_headers", "prefix 10", "request", "note ${bodylen}", "request_body", "body upper"},
		"one that pipes":          {"request_headers", "del content-length; pipe upper"},
	} {
		out = append(out, Scenario{Name: "retry: replays the body of " + name, Run: func(b *Bed) {
			body := strings.Repeat("retry me, ", 3000)
			ln := b.Listen(Listen{
				Routes: []M{{"match": M{"prefix": "/"}, "route": M{"cluster": "up", "retry_policy": retry}}},
				Chain:  Chain(Probe("p", append(on, "response_headers", "set x-seen ${resp.x-seen}1")...)),
			})
			for _, req := range []client.Request{{Body: body}, {Chunks: strings.SplitAfter(body, ", ")[:300], H2: true}} {
				req.Path = "/flaky?fail=2"
				r := ln.Do(req)
				Equal(b, "status", r.Status, 200)
				Equal(b, "how often the plugin saw the response", r.Header.Get("x-seen"), "1")
				seen := b.Seen(r, 3)
				Equal(b, "attempts", len(seen), 3)
				for _, s := range seen {
					Equal(b, "bytes", s.Bytes, seen[0].Bytes)
					Equal(b, "body", s.SHA256, seen[0].SHA256)
				}
				want := int64(len(body))
				if req.H2 {
					want = int64(len(strings.Join(strings.SplitAfter(body, ", ")[:300], "")))
				}
				Equal(b, "bytes of the body", seen[0].Bytes, want)
				if !strings.Contains(name, "prefix") {
					Equal(b, "the change", strings.Contains(seen[0].Body, "r"), false)
				}
			}
		}})
	}
	return out
}
