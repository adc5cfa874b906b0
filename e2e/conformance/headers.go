package conformance

import (
	"fmt"
	"strings"

	"mosn.io/moe/e2e/client"
)

func headerScenarios() []Scenario {
	return append(rows(append(requestHeaderRows(), responseHeaderRows()...)), rows(phaseRows())...)
}

func requestHeaderRows() []row {
	return []row{
		{
			name:  "request headers: get, set, add, del",
			chain: []M{Probe("p", "request_headers", "set x-got ${req.x-in}; set x-in new; add x-more 1; add x-more 2; del x-gone")},
			req:   client.Request{Header: []string{"X-In", "old", "x-gone", "1", "x-gone", "2"}},
			up:    []string{"x-got", "old", "x-in", "new", "x-more", "1|2", "x-gone", "-"},
		},
		{
			name: "request headers: several values of one name",
			chain: []M{Probe("p", "request_headers",
				"set x-got ${req.x-in}/${all.x-in}/${has.x-in}/${has.x-no}; set x-one 1; add x-in 3")},
			req: client.Request{Header: []string{"x-in", "1", "x-in", "2", "x-one", "a", "x-one", "b"}},
			up:  []string{"x-got", "1/1|2/true/false", "x-one", "1", "x-in", "1|2|3"},
		},
		{
			name:  "request headers: names in any case",
			chain: []M{Probe("p", "request_headers", "set X-New a; set x-got ${all.X-IN}; del X-GONE")},
			req:   client.Request{Header: []string{"x-iN", "v", "x-Gone", "1"}},
			up:    []string{"x-new", "a", "x-got", "v", "x-gone", "-"},
		},
		{
			name: "request headers: method, scheme, host, path",
			chain: []M{Probe("p", "request_headers", "set x-got '${method} ${scheme} ${host} ${path} ${url}'; "+
				"set :method PUT; set :authority new.test; set :path /echo?b=2")},
			req:    client.Request{Path: "/echo?a=1", Host: "old.test"},
			up:     []string{"x-got", "GET http old.test /echo?a=1 http://old.test/echo?a=1"},
			upPath: "/echo?b=2",
			then: func(b *Bed, r *client.Response) {
				seen := b.Seen(r, 1)[0]
				Equal(b, "method", seen.Method, "PUT")
				Equal(b, "host", seen.Host, "new.test")
			},
		},
		{
			name:  "request headers: an empty value removes",
			chain: []M{Probe("p", "request_headers", "set x-a ''; set x-b v; set x-b ''; add x-c ''; set x-ok 1")},
			req:   client.Request{Header: []string{"x-a", "1"}},
			up:    []string{"x-a", "-", "x-b", "-", "x-c", "-", "x-ok", "1"},
		},
		{
			name: "request headers: a change and its opposite",
			chain: []M{
				Probe("p", "request_headers", "del x-a; set x-a 2; set x-b 1; del x-b; set x-c 1; set x-c ${req.x-c}0"),
				Probe("q", "request_headers", "set x-q ${all.x-a}/${has.x-b}/${all.x-c}; del x-c; add x-c 5"),
			},
			req: client.Request{Header: []string{"x-a", "1"}},
			up:  []string{"x-a", "2", "x-b", "-", "x-c", "5", "x-q", "2/false/10"},
		},
		{
			name: "request headers: invalid names and values are refused",
			chain: []M{Probe("p", "request_headers", "set 'bad name' 1; set '' 1; set x-bad 'a\r\nx-smuggled: 1'; "+
				"set 'x-bäd' 1; add 'x:y' 1; set x-ok 1")},
			req: client.Request{},
			up:  []string{"x-ok", "1", "x-bad", "-", "x-smuggled", "-", "bad name", "-"},
			log: `(?s)p\b.*invalid header`,
		},
		{
			name:  "request headers: cookies",
			chain: []M{Probe("p", "request_headers", "set x-got ${cookie.a}/${cookie.b}/${cookie.c}")},
			req:   client.Request{Header: []string{"cookie", "a=1; b=2"}},
			up:    []string{"x-got", "1/2/(none)"},
		},
		{
			name:  "request headers: a hundred, and a long one",
			chain: []M{Probe("p", "request_headers", "set x-got ${all.h-42}; set x-long2 ${req.x-long}")},
			req:   client.Request{Header: manyHeaders()},
			then: func(b *Bed, r *client.Response) {
				seen := b.Seen(r, 1)[0]
				Equal(b, "x-got", seen.Header.Get("x-got"), "42")
				Equal(b, "long header", seen.Header.Get("x-long2"), long)
				Equal(b, "h-84", seen.Header.Get("h-84"), "84")
			},
		},
		{
			name:   "request headers: many changes",
			listen: Listen{HCM: M{"common_http_protocol_options": M{"max_headers_count": 400}}},
			chain:  []M{Probe("p", "request_headers", manySets(200))},
			then: func(b *Bed, r *client.Response) {
				seen := b.Seen(r, 1)[0]
				for i := range 200 {
					k := fmt.Sprintf("n-%d", i)
					if seen.Header.Get(k) != strings.Repeat("v", i) {
						b.Fatalf("%s: got %q", k, seen.Header.Get(k))
					}
				}
			},
			req: client.Request{Header: []string{"n-0", "gone"}},
		},
		{
			name: "request headers: readable in the response's phases, frozen by then",
			chain: []M{Probe("p", "request_headers", "set x-a 2",
				"response_headers", "set x-got ${req.x-a}; setreq x-late 1", "complete", traceTo)},
			req:     client.Request{Header: []string{"x-a", "1"}},
			headers: []string{"x-got", "2"},
			up:      []string{"x-late", "-"},
			log:     "sent or have not arrived",
			access:  []string{"late", ""},
		},
		{
			name:  "request headers over HTTP/2",
			chain: []M{Probe("p", "request_headers", "set x-got ${attr.request.protocol}; set x-in new; del x-gone")},
			req:   client.Request{H2: true, Header: []string{"x-in", "old", "x-gone", "1"}},
			up:    []string{"x-got", "HTTP/2", "x-in", "new", "x-gone", "-"},
		},
	}
}

var long = strings.Repeat("long ", 6000)[:29999]

func manyHeaders() []string {
	h := []string{"x-long", long}
	for i := range 80 { // Envoy's limit is 100, its own included
		h = append(h, fmt.Sprintf("h-%d", i+5), fmt.Sprint(i+5))
	}
	return h
}

func manySets(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "set n-%d '%s';", i, strings.Repeat("v", i))
	}
	return b.String()
}

func responseHeaderRows() []row {
	return []row{
		{
			name: "response headers: get, set, add, del",
			chain: []M{Probe("p", "response_headers",
				"set x-got ${resp.x-in}/${all.x-in}; set x-one 1; add x-more 1; add x-more 2; del x-gone; del x-in")},
			req:     client.Request{Path: "/echo?h=x-in:1&h=x-in:2&h=x-one:0&h=x-gone:1"},
			headers: []string{"x-got", "1/1|2", "x-one", "1", "x-more", "1|2", "x-gone", "-", "x-in", "-"},
		},
		{
			name:    "response headers: status",
			chain:   []M{Probe("p", "response_headers", "set x-got ${status}; set :status 418")},
			req:     client.Request{Path: "/echo?status=201"},
			status:  418,
			headers: []string{"x-got", "201"},
		},
		{
			name:    "response headers: set-cookie keeps its values apart",
			chain:   []M{Probe("p", "response_headers", "add set-cookie c=3")},
			req:     client.Request{Path: "/echo?h=set-cookie:a=1&h=set-cookie:b=2"},
			headers: []string{"set-cookie", "a=1|b=2|c=3"},
		},
		{
			name:    "response headers: of a HEAD, 204 and 304",
			chain:   []M{Probe("p", "response_headers", "set x-end ${end}")},
			req:     client.Request{Path: "/echo?status=204"},
			status:  204,
			headers: []string{"x-end", "true"},
			then: func(b *Bed, _ *client.Response) {
				ln := b.Listen(Listen{Chain: Chain(Probe("p", "response_headers", "set x-end ${end}"))})
				r := ln.Do(client.Request{Method: "HEAD"})
				Equal(b, "HEAD", r.Header.Get("x-end"), "true")
				r = ln.Do(client.Request{Path: "/echo?status=304"})
				Equal(b, "304", r.Header.Get("x-end")+fmt.Sprint(r.Status), "true304")
			},
		},
		{
			name:    "response headers: invalid ones are refused",
			chain:   []M{Probe("p", "response_headers", "set 'bad name' 1; set x-bad 'a\nb'; set x-ok 1")},
			headers: []string{"x-ok", "1", "x-bad", "-"},
			log:     `(?s)p\b.*invalid header`,
		},
		{
			name: "response headers: in the order of the chain reversed",
			chain: []M{
				Probe("p", "request_headers", "set x-order p", "response_headers", "set x-order ${resp.x-order}p"),
				Probe("q", "request_headers", "set x-order ${req.x-order}q", "response_headers", "set x-order ${resp.x-order}q"),
				Probe("r", "request_headers", "set x-order ${req.x-order}r", "response_headers", "set x-order ${resp.x-order}r"),
			},
			up:      []string{"x-order", "pqr"},
			headers: []string{"x-order", "rqp"},
		},
	}
}

// phaseRows are plugins that have some phases and not others: hosts skip what nobody wants.
func phaseRows() []row {
	return []row{
		{
			name:  "phases: only request headers",
			chain: []M{ProbeOf("proberequest", "p", "request_headers", "set x-got 1")},
			req:   client.Request{Body: "some body"},
			up:    []string{"x-got", "1"}, upBody: "some body",
		},
		{
			name:    "phases: only response headers",
			chain:   []M{ProbeOf("proberesponse", "p", "response_headers", "set x-got ${req.x-in}")},
			req:     client.Request{Body: "some body", Header: []string{"x-in", "v"}},
			headers: []string{"x-got", "v"}, upBody: "some body",
		},
		{
			name:  "phases: only completion",
			chain: []M{ProbeOf("probecomplete", "p", "complete", "log info 'done ${req.x-id} ${status} ${resp.x-upstream}'")},
			log:   `done ID 200 127`,
		},
		{
			name: "phases: an object for each stream",
			chain: []M{ProbeOf("probestream", "p", "request_headers", "set x-got 1", "response_headers", "set x-got 2",
				"complete", traceTo)},
			up: []string{"x-got", "1"}, headers: []string{"x-got", "2"},
			log: ended("p.request_headers p.response_headers p.complete"),
		},
		{
			name: "phases: stages come before the listed order",
			chain: []M{
				Probe("p", "request_headers", "set x-order ${req.x-order}p", "complete", traceTo),
				ProbeOf("probeauthn", "a", "request_headers", "set x-order ${req.x-order}a"),
			},
			up:  []string{"x-order", "ap"},
			log: ended("a.request_headers p.request_headers p.response_headers a.response_headers p.response_body p.complete"),
		},
		{
			name: "phases: every one, in order",
			chain: []M{
				Probe("p", "response_headers", "set x-trace '${trace}'", "complete", traceTo),
				Probe("q"),
			},
			req: client.Request{Body: "b", Trailer: []string{"x-t", "1"}, Path: "/echo?t=x-t:1", H2: true},
			log: `done ID \[p.request_headers q.request_headers (p.request_body q.request_body )+p.request_trailers ` +
				`q.request_trailers q.response_headers p.response_headers (q.response_body p.response_body )+` +
				`q.response_trailers p.response_trailers p.complete\]`,
		},
		{
			name:    "phases: none needed but a plugin there",
			chain:   []M{{"name": "passthrough"}},
			neutral: true,
			body:    "hello",
			req:     client.Request{Path: "/body/hello"},
		},
	}
}
