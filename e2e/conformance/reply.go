package conformance

import (
	"context"
	"fmt"
	"io"
	"strings"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/upstream"
	"mosn.io/moe/framework/filter"
)

func replyScenarios() []Scenario {
	all := append(replyRows(), replyPhaseRows()...)
	all = append(all, onionRows()...)
	return append(rows(all), readerScenarios()...)
}

// replyRows are what a reply may hold.
func replyRows() []row {
	return []row{
		{
			name:   "reply: status, body, headers, details",
			chain:  []M{Probe("p", "request_headers", "reply 403 'no way' h:x-a=1 h:X-B=2 h:set-cookie=a=1 h:set-cookie=b=2 details=my_details")},
			status: 403, body: "no way", upNone: true, details: "my_details",
			headers: []string{"x-a", "1", "x-b", "2", "set-cookie", "a=1|b=2", "content-length", "6"},
		},
		{
			name:   "reply: details name the plugin by default",
			chain:  []M{Probe("p", "request_headers", "reply 429 slow")},
			status: 429, body: "slow", details: "moe.p",
		},
		{
			name:   "reply: JSON",
			chain:  []M{Probe("p", "request_headers", "json 422 why")},
			status: 422, body: `{"probe":"why"}`, headers: []string{"content-type", "application/json"},
		},
		{
			name:   "reply: its own content-type",
			chain:  []M{Probe("p", "request_headers", "reply 400 <p>no</p> h:content-type=text/html")},
			status: 400, body: "<p>no</p>", headers: []string{"content-type", "text/html"},
		},
		{
			name:   "reply: without a body",
			chain:  []M{Probe("p", "request_headers", "reply 204")},
			status: 204, body: "-", upNone: true,
		},
		{
			name:   "reply: redirect",
			chain:  []M{Probe("p", "request_headers", "redirect https://other.test/x?y=z")},
			status: 302, body: "-", headers: []string{"location", "https://other.test/x?y=z"},
		},
		{
			name:   "reply: a failure keeps its reason for the log",
			chain:  []M{Probe("p", "request_headers", "fail 'hidden reason'")},
			status: 500, log: "hidden reason",
			then: func(b *Bed, r *client.Response) {
				if strings.Contains(r.Body+fmt.Sprint(r.Header), "hidden") {
					b.Errorf("the reason got out: %v %q", r.Header, r.Body)
				}
			},
		},
		{
			name:   "reply: to HEAD has no body",
			chain:  []M{Probe("p", "request_headers", "reply 403 'no way'")},
			req:    client.Request{Method: "HEAD"},
			status: 403, body: "-", upNone: true,
		},
		{
			name:   "reply: over HTTP/2",
			chain:  []M{Probe("p", "request_headers", "reply 403 'no way' h:x-a=1")},
			req:    client.Request{H2: true, Body: "body"},
			status: 403, body: "no way", headers: []string{"x-a", "1"}, upNone: true,
		},
		{
			name:  "reply: of 100 KiB",
			chain: []M{Probe("p", "request_headers", "reply 200 "+strings.Repeat("x", 100<<10))},
			body:  strings.Repeat("x", 100<<10), upNone: true,
		},
		{
			name:    "reply: to gRPC, by Envoy's mapping",
			chain:   []M{Probe("p", "request_headers", "reply 403 'no way'")},
			req:     client.Request{H2: true, Method: "POST", Header: []string{"content-type", "application/grpc"}},
			headers: []string{"grpc-status", "7", "grpc-message", "no way", "content-type", "application/grpc"}, body: "-",
		},
		{
			name:    "reply: to gRPC, with a status of its own",
			chain:   []M{Probe("p", "request_headers", "reply 403 'no way' grpc=5 details=mine h:x-a=1")},
			req:     client.Request{H2: true, Method: "POST", Header: []string{"content-type", "application/grpc"}},
			headers: []string{"grpc-status", "5", "grpc-message", "no way", "x-a", "1"}, body: "-", details: "mine",
		},
		{
			name:   "reply: a gRPC status means nothing to others",
			chain:  []M{Probe("p", "request_headers", "reply 403 'no way' grpc=5")},
			status: 403, body: "no way", headers: []string{"grpc-status", "-"},
		},
	}
}

// replyPhaseRows reply in each phase.
func replyPhaseRows() []row {
	post := client.Request{Body: "body", Trailer: []string{"x-t", "1"}, Path: "/echo?t=x-t:1", H2: true}
	base := row{req: post, status: 409, body: "no", headers: []string{"x-upstream", "-"}, details: "moe.p", log: "done ID 409"}
	at := func(name string, none bool, on ...string) row {
		r := base
		r.name, r.upNone = "reply in "+name, none
		r.chain = []M{Probe("p", append(on, "complete", "log info 'done ${req.x-id} ${status}'")...)}
		return r
	}
	rs := []row{
		at("request headers", true, "request_headers", "reply 409 no"),
		at("request headers, later", true, "request_headers", "go; sleep 5ms; reply 409 no"),
		at("request body", false, "request_body", "reply 409 no"),
		at("request body, later", false, "request_body", "go; sleep 5ms; reply 409 no"),
		at("the whole request", true, "request_headers", "waitbody", "request", "reply 409 no"),
		at("the whole request, later", true, "request_headers", "waitbody", "request", "go; sleep 5ms; reply 409 no"),
		at("request trailers", false, "request_trailers", "reply 409 no"),
		at("response headers", false, "response_headers", "reply 409 no"),
		at("response headers, later", false, "response_headers", "go; sleep 5ms; reply 409 no"),
		at("the whole response", false, "response_headers", "waitbody", "response", "reply 409 no"),
		at("the whole response, later", false, "response_headers", "waitbody", "response", "go; sleep 5ms; reply 409 no"),
	}
	held := ProbeOf("probewhole", "h")
	for _, phase := range []string{"response_body", "response_trailers"} {
		after := base
		after.name = "reply in " + phase + " after the headers went on resets"
		after.chain = []M{Probe("p", phase, "reply 409 no", "complete", "log info 'done ${req.x-id} ${status}'")}
		after.reset, after.details, after.log = true, "", "done ID"
		before := base
		before.name = "reply in " + phase + " while a plugin behind holds the headers"
		before.chain = []M{held, Probe("p", phase, "reply 409 no", "complete", "log info 'done ${req.x-id} ${status}'")}
		rs = append(rs, after, before)
	}
	return rs
}

// onionRows show who sees a reply: the plugins before the one that replied, in their response phases.
func onionRows() []row {
	seen := func(id string, on ...string) M {
		return Probe(id, append(on, "response_headers", "set x-seen ${resp.x-seen}"+id, "complete", traceTo)...)
	}
	return []row{
		{
			name:   "onion: a reply passes the plugins before, and no other",
			chain:  []M{seen("p"), seen("q"), seen("r", "request_headers", "reply 403 no"), seen("s")},
			status: 403, headers: []string{"x-seen", "qp"}, upNone: true,
			log: ended("p.request_headers q.request_headers r.request_headers q.response_headers p.response_headers " +
				"q.response_body p.response_body p.complete q.complete r.complete s.complete"),
		},
		{
			name:   "onion: the first plugin's reply is seen by none",
			chain:  []M{seen("p", "request_headers", "reply 403 no"), seen("q")},
			status: 403, headers: []string{"x-seen", "-"}, log: `done ID \[p.request_headers p.complete`,
		},
		{
			name: "onion: a reply may be changed on its way",
			chain: []M{
				Probe("p", "response_headers", "set x-was ${status}; set :status 200"),
				ProbeOf("probewhole", "q", "response", "body append !"), ProbeOf("proberequest", "r", "request_headers", "reply 403 no"),
			},
			status: 200, body: "no!", headers: []string{"x-was", "403", "content-length", "3"},
		},
		{
			name: "onion: a reply may be replaced on its way",
			chain: []M{
				seen("p"), Probe("q", "response_headers", "reply 404 hidden"),
				ProbeOf("proberequest", "r", "request_headers", "reply 403 no h:x-r=1"),
			},
			status: 404, body: "hidden", headers: []string{"x-seen", "p", "x-r", "-"}, details: "moe.q",
		},
		{
			name:   "onion: a reply in the response passes the plugins before",
			chain:  []M{seen("p"), Probe("q", "response_headers", "reply 403 no"), seen("r")},
			status: 403, headers: []string{"x-seen", "p", "x-upstream", "-"},
		},
		{
			name:  "onion: Envoy's own reply passes the plugins that passed the request",
			chain: []M{seen("p"), seen("q")}, listen: Listen{Routes: []M{To("dead", "/")}},
			status: 503, headers: []string{"x-seen", "qp"},
		},
		{
			name:  "onion: Envoy's direct response too",
			chain: []M{seen("p")}, listen: Listen{Routes: []M{{
				"match":           M{"prefix": "/"},
				"direct_response": M{"status": 201, "body": M{"inline_string": "direct"}},
			}}},
			status: 201, body: "direct", headers: []string{"x-seen", "p"},
		},
		{
			name:  "onion: another filter's reply too",
			chain: []M{seen("p")}, listen: Listen{After: []M{lua(`function envoy_on_request(h)
				h:respond({[":status"] = "410"}, "lua") end`)}},
			status: 410, body: "lua", headers: []string{"x-seen", "p"},
		},
	}
}

// readerScenarios are about replies that stream.
func readerScenarios() []Scenario {
	const size = 8 << 20
	return []Scenario{
		rows([]row{{
			name:    "reader: 8 MiB",
			chain:   []M{Probe("p", "response_headers", "set x-seen 1"), Probe("q", "request_headers", fmt.Sprint("reader 200 ", size))},
			headers: []string{"x-seen", "1"}, upNone: true,
			then: func(b *Bed, r *client.Response) {
				Equal(b, "sum", r.SHA256, sum(size))
				b.Poll(zero(b, "readers"))
			},
		}})[0],
		{Name: "reader: over HTTP/2, through a pipe", Run: func(b *Bed) {
			ln := b.Listen(Listen{Chain: Chain(Probe("p", "response_headers", "pipe copy"),
				Probe("q", "request_headers", fmt.Sprint("reader 200 ", size)))})
			r := ln.Do(client.Request{H2: true})
			Equal(b, "sum", r.SHA256, sum(size))
			b.Poll(zero(b, "readers"))
		}},
		{Name: "reader: is read no faster than the client takes it", Needs: filter.CanStreamReply, Run: func(b *Bed) {
			const huge = 256 << 20
			ln := b.Listen(Listen{Chain: Chain(Probe("q", "request_headers", fmt.Sprint("reader 200 ", huge)))})
			before := b.Live()["read"]
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			_, resp, err := client.Open(ln.Addr, client.Request{Context: ctx})
			if err != nil {
				b.Fatal(err)
			}
			defer resp.Body.Close()
			Equal(b, "status", resp.StatusCode, 200)
			if _, err := io.CopyN(io.Discard, resp.Body, 1<<20); err != nil {
				b.Fatal(err)
			}
			last := int64(-1)
			b.Poll(func() error { // until it has come to rest
				n := b.Live()["read"] - before
				if n == last {
					return nil
				}
				last = n
				return fmt.Errorf("the reader is still read: %d bytes", n)
			})
			if last > 64<<20 {
				b.Errorf("%d bytes were read for a client that took 1 MiB", last)
			}
			cancel()
			b.Poll(zero(b, "readers"))
		}},
		{Name: "reader: a client that leaves closes it", Run: func(b *Bed) {
			ln := b.Listen(Listen{Chain: Chain(Probe("q", "request_headers", "reader 200 1000000000 pause=1ms"))})
			ctx, cancel := context.WithCancel(context.Background())
			id, resp, err := client.Open(ln.Addr, client.Request{Context: ctx, H2: true})
			if err != nil {
				b.Fatal(err)
			}
			resp.Body.Read(make([]byte, 1000))
			cancel()
			b.Poll(zero(b, "readers"))
			Equal(b, "code", fmt.Sprint(b.Access(id)["code"]), "200")
			Equal(b, "upstream requests", len(b.Up.Seen(id)), 0)
		}},
		{Name: "reply: after a response has begun whose headers no plugin wanted", Run: func(b *Bed) {
			ln := b.Listen(Listen{
				Chain:  Chain(ProbeOf("probebody", "late", "request_body", "reply 409 no")),
				Routes: []M{To("up2", "/")},
			})
			body, rest := io.Pipe()
			id, resp, err := client.Open(ln.Addr, client.Request{
				Path: "/mirror", Reader: body, H2: true,
			})
			if err != nil {
				b.Fatal(err)
			}
			Equal(b, "status", resp.StatusCode, 200)
			rest.Write([]byte("body")) // now that the client has the response's headers
			if r := client.Read(id, resp); r.Err == nil {
				b.Errorf("the response ends well: %+v", r)
			}
			b.WaitMetric("moe.late_replies", `plugin="late"`, 1)
			b.WaitLog("a reply comes after the response has begun.*moe.late")
		}},
		{Name: "reply: while the body is still on its way", Run: func(b *Bed) {
			ln := b.Listen(Listen{Chain: Chain(Probe("q", "request_headers", "reply 403 no"))})
			r := ln.Do(client.Request{Reader: io.LimitReader(&upstream.Pattern{}, 4<<20), H2: true})
			Equal(b, "status", r.Status, 403)
		}},
	}
}

// zero is a condition for Poll: one of Live's counts is back at 0.
func zero(b *Bed, name string) func() error {
	return func() error {
		if n := b.Live()[name]; n != 0 {
			return fmt.Errorf("%s: %d", name, n)
		}
		return nil
	}
}

func lua(code string) M {
	return M{"name": "lua", "typed_config": M{
		"@type":               "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
		"default_source_code": M{"inline_string": code},
	}}
}
