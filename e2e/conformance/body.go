package conformance

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/upstream"
)

func bodyScenarios() []Scenario {
	all := append(streamRows(), wholeRows()...)
	all = append(all, limitRows()...)
	return append(rows(all), bigScenarios()...)
}

const seesBody = "note ${bodylen}/${end}"

func streamRows() []row {
	return []row{
		{
			name: "body: one chunk, seen and changed in place",
			chain: []M{Probe("p", "request_body", "body upper", "response_body", "body upper",
				"response_headers", "set x-end ${end}")},
			req:    client.Request{Body: "hello", Path: "/mirror"},
			upBody: "HELLO", body: "HELLO", headers: []string{"x-end", "false"},
		},
		{
			name:   "body: many chunks, each changed",
			chain:  []M{Probe("p", "request_body", "body upper")},
			req:    client.Request{Chunks: manyChunks(50), Path: "/mirror"},
			upBody: strings.ToUpper(strings.Join(manyChunks(50), "")),
		},
		{
			name: "body: a stream that changes its length, with content-length",
			chain: []M{ProbeOf("probechange", "p", "request_body", "body double",
				"response_body", "body double")},
			req:    client.Request{Body: "ab", Path: "/body/xyz"},
			upBody: "abab", body: "xyzxyz", headers: []string{"content-length", "-"}, up: []string{"content-length", "-"},
		},
		{
			name:   "body: a stream that changes its length over HTTP/2",
			chain:  []M{ProbeOf("probechange", "p", "request_body", "body double", "response_body", "body double")},
			req:    client.Request{Body: "ab", Path: "/body/xyz", H2: true},
			listen: Listen{Routes: []M{To("up2", "/")}},
			upBody: "abab", body: "xyzxyz",
		},
		{
			name: "body: emptied while it streams",
			chain: []M{ProbeOf("probechange", "p", "request_body", "body clear",
				"response_body", "body clear")},
			req:    client.Request{Chunks: manyChunks(5), Path: "/mirror"},
			upBody: "-", body: "-",
		},
		{
			name: "body: none in a GET",
			chain: []M{Probe("p", "request_headers", "note ${end}", "complete", traceTo,
				"request_body", seesBody)},
			log: ended("p.request_headers true p.response_headers p.response_body p.complete"),
		},
		{
			name: "body: empty, with content-length 0",
			chain: []M{Probe("p", "request_headers", "note ${end}", "response_headers", "note ${end}",
				"complete", traceTo)},
			req: client.Request{Method: "POST", Path: "/body/"},
			log: ended("p.request_headers true p.response_headers true p.complete"),
		},
		{
			name:   "body: empty, but not known beforehand",
			chain:  []M{Probe("p", "request_headers", "note ${end}", "request_body", seesBody, "complete", traceTo)},
			req:    client.Request{Reader: io.LimitReader(nil, 0), H2: true, Method: "POST"},
			upBody: "-",
			log:    `done ID \[p.request_headers false p.request_body 0/true `,
		},
		{
			name: "body: plugins that have only body phases",
			chain: []M{ProbeOf("probebody", "p", "request_body", "body upper",
				"response_body", "body upper")},
			req:    client.Request{Body: "hello", Path: "/mirror"},
			upBody: "HELLO", body: "HELLO",
		},
		{
			name:   "body: with expect 100-continue",
			chain:  []M{ProbeOf("probewhole", "p", "request", "body append !")},
			req:    client.Request{Body: "hello", Path: "/echo", Header: []string{"expect", "100-continue"}},
			upBody: "hello!",
		},
		{
			name: "body: the upstream answers before it is through",
			chain: []M{Probe("p", "request_body", "body upper", "response_headers", "set x-seen 1",
				"complete", "log info 'done ${req.x-id} ${status}'")},
			req:    client.Request{Reader: io.LimitReader(&upstream.Pattern{}, 1<<20), Path: "/early", H2: true},
			status: 403, headers: []string{"x-seen", "1"}, log: "done ID 403",
		},
		{
			name:  "body: the upstream breaks off",
			chain: []M{Probe("p", "response_headers", "note ${end}", "complete", "log info 'done ${req.x-id} ${status}'")},
			req:   client.Request{Path: "/abort"},
			reset: true, log: "done ID 200",
		},
	}
}

func manyChunks(n int) []string {
	var cs []string
	for i := range n {
		cs = append(cs, fmt.Sprintf("chunk-%d;", i))
	}
	return cs
}

func wholeRows() []row {
	fits := func(b *Bed, r *client.Response) {
		seen := b.Seen(r, 1)[0]
		Equal(b, "upstream's content-length", seen.ContentLength, int64(len(seen.Body)))
		Equal(b, "content-length", r.Header.Get("content-length"), fmt.Sprint(len(r.Body)))
	}
	return []row{
		{
			name: "whole: grows, content-length follows",
			chain: []M{ProbeOf("probewhole", "p", "request", "set x-got ${bodylen}/${complete}; body append -more",
				"response", "set x-got ${bodylen}/${complete}; body append -more")},
			req:     client.Request{Body: "body", Path: "/body/answer"},
			up:      []string{"x-got", "4/true"},
			headers: []string{"x-got", "6/true"},
			upBody:  "body-more", body: "answer-more", then: fits,
		},
		{
			name: "whole: shrinks, content-length follows",
			chain: []M{ProbeOf("probewhole", "p", "request", "body set b",
				"response", "body set a")},
			req:    client.Request{Body: "body", Path: "/body/answer"},
			upBody: "b", body: "a", then: fits,
		},
		{
			name:   "whole: is emptied",
			chain:  []M{ProbeOf("probewhole", "p", "request", "body clear", "response", "body clear")},
			req:    client.Request{Body: "body", Path: "/body/answer"},
			upBody: "-", body: "-", then: fits,
		},
		{
			name:  "whole: of many chunks, over HTTP/2",
			chain: []M{ProbeOf("probewhole", "p", "request", "body upper", "response", "set x-got ${bodylen}")},
			req:   client.Request{Chunks: manyChunks(50), Path: "/echo", H2: true},
			then: func(b *Bed, r *client.Response) {
				Equal(b, "body", b.Seen(r, 1)[0].Body, strings.ToUpper(strings.Join(manyChunks(50), "")))
				Equal(b, "x-got", r.Header.Get("x-got"), fmt.Sprint(r.Bytes))
			},
		},
		{
			name: "whole: of a GET is empty, and a body may be added",
			chain: []M{Probe("p", "request_headers", "waitbody",
				"request", "set x-got ${bodylen}/${complete}/${method}; set :method POST; body set added")},
			up: []string{"x-got", "0/true/GET"}, upBody: "added",
		},
		{
			name: "whole: asked for by the headers' phase, headers still changeable",
			chain: []M{Probe("p", "request_headers", "set x-a 1; waitbody", "request", "set x-a ${req.x-a}2; set x-body ${body}",
				"response_headers", "set x-a 1; waitbody", "response", "set x-a ${resp.x-a}2; set :status 202")},
			req: client.Request{Body: "body"},
			up:  []string{"x-a", "12", "x-body", "body"}, status: 202, headers: []string{"x-a", "12"},
		},
		{
			name: "whole: plugins before it stream, plugins after it see headers, body and end as one",
			chain: []M{
				Probe("p", "complete", traceTo), ProbeOf("probewhole", "q", "request", "note ${bodylen}"),
				Probe("r", "request_body", seesBody),
			},
			req: client.Request{Chunks: []string{"ab", "cd", "ef"}, Path: "/body/xyz"},
			log: `done ID \[p.request_headers p.request_body q.request 6 r.request_headers r.request_body 6/true `,
		},
		{
			name:   "prefix: of a longer body, the rest streams",
			chain:  []M{Probe("p", "request_headers", "prefix 3", "request", "set x-got ${complete}; body upper")},
			req:    client.Request{Chunks: []string{"abc", "def", "ghi"}, Path: "/mirror", H2: true},
			up:     []string{"x-got", "false"},
			listen: Listen{},
			then: func(b *Bed, r *client.Response) {
				Equal(b, "body", strings.ToLower(b.Seen(r, 1)[0].Body), "abcdefghi")
				Equal(b, "prefix", b.Seen(r, 1)[0].Body[:3], "ABC")
				Equal(b, "answer", strings.ToLower(r.Body), "abcdefghi")
			},
		},
		{
			name:  "prefix: of a shorter body is all",
			chain: []M{Probe("p", "request_headers", "prefix 100", "request", "set x-got ${complete}/${bodylen}")},
			req:   client.Request{Body: "body"},
			up:    []string{"x-got", "true/4"}, upBody: "body",
		},
		{
			name: "prefix: of a response",
			chain: []M{Probe("p", "response_headers", "prefix 5", "response", "set x-got ${complete}; note ${bodylen}",
				"complete", traceTo)},
			req:     client.Request{Path: "/bytes?n=100000&chunk=10000"},
			headers: []string{"x-got", "false"},
			then:    func(b *Bed, r *client.Response) { Equal(b, "sum", r.SHA256, sum(100000)) },
		},
		{
			name: "combined: one streams, one waits, one pipes",
			chain: []M{
				Probe("p", "request_body", "body upper", "response_body", "body upper"),
				ProbeOf("probewhole", "q", "request", "body append -q", "response", "body append -q"),
				Probe("r", "request_headers", "del content-length; pipe suffix",
					"response_headers", "del content-length; pipe suffix"),
			},
			req:    client.Request{Chunks: []string{"ab", "cd"}, Path: "/body/xyz"},
			upBody: "ABCD-q>>", body: "XYZ>>-Q",
		},
		{
			name: "combined: two that wait",
			chain: []M{
				ProbeOf("probewhole", "p", "request", "body append p", "response", "body append p"),
				ProbeOf("probewhole", "q", "request", "body append q", "response", "body append q"),
			},
			req:    client.Request{Body: "abcd", Path: "/body/xyz"},
			upBody: "abcdpq", body: "xyzqp", then: fits,
		},
	}
}

func limitRows() []row {
	small := Listen{Buffer: 16 << 10}
	big := strings.Repeat("x", 100_000)
	return []row{
		{
			name: "limit: a request that is waited for is answered 413", listen: small,
			chain: []M{ProbeOf("probewhole", "p")},
			req:   client.Request{Body: big}, status: 413, upNone: true, details: "request_payload_too_large",
		},
		{
			name:   "limit: over HTTP/2 it is the stream's window",
			listen: Listen{HCM: M{"http2_protocol_options": M{"initial_stream_window_size": 65535}}},
			chain:  []M{ProbeOf("probewhole", "p")},
			req:    client.Request{Reader: strings.NewReader(big), H2: true}, status: 413, upNone: true,
			details: "request_payload_too_large",
		},
		{
			name: "limit: a response that is waited for becomes 500", listen: small,
			chain: []M{Probe("p", "response_headers", "waitbody")},
			req:   client.Request{Path: "/bytes?n=100000"}, status: 500, details: "response_payload_too_large",
		},
		{
			name: "limit: a body that streams has none", listen: small,
			chain: []M{Probe("p", "request_body", "body upper", "response_headers", "set x-seen 1")},
			req:   client.Request{Body: big}, upBody: strings.ToUpper(big[:64<<10]), headers: []string{"x-seen", "1"},
		},
		{
			name: "limit: a prefix has none either", listen: small,
			chain: []M{Probe("p", "request_headers", "prefix 10", "request", "set x-got ${complete}")},
			req:   client.Request{Body: big}, upBody: big[:64<<10], up: []string{"x-got", "false"},
		},
		{
			name: "limit: a body just below it is waited for", listen: small,
			chain: []M{ProbeOf("probewhole", "p", "request", "set x-got ${bodylen}")},
			req:   client.Request{Body: big[:16<<10], Path: "/body/x"}, up: []string{"x-got", "16384"},
		},
	}
}

const tenMiB = 10 << 20

// bigScenarios carry 10 MiB in both directions at once.
func bigScenarios() []Scenario {
	var out []Scenario
	for name, chain := range map[string]M{
		"streamed": Chain(Probe("p", "response_headers", "set x-seen 1", "request_body", "if 1 0"),
			ProbeOf("probebody", "q", "response_body", "if 1 0")),
		"piped": Chain(Probe("p", "request_headers", "del content-length; pipe copy",
			"response_headers", "set x-seen 1; pipe copy")),
		"upper and lower again": Chain(Probe("p", "request_body", "body upper", "response_headers", "set x-seen 1"),
			Probe("q", "response_body", "body lower")),
		"prefixed": Chain(Probe("p", "request_headers", "prefix 1000",
			"response_headers", "set x-seen 1; prefix 1000")),
		"async": Chain(Probe("p", "request_headers", "go; sleep 5ms",
			"response_headers", "set x-seen 1; go; sleep 5ms", "response_body", "go")),
	} {
		for _, h2 := range []bool{false, true} {
			proto := map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[h2]
			out = append(out, Scenario{Name: "10 MiB both ways: " + name + ", " + proto, Run: func(b *Bed) {
				cluster := map[bool]string{false: "up", true: "up2"}[h2]
				ln := b.Listen(Listen{Chain: chain, Routes: []M{To(cluster, "/")}})
				r := ln.Do(client.Request{Path: "/mirror", H2: h2, Reader: io.LimitReader(&upstream.Pattern{}, tenMiB)})
				Equal(b, "x-seen", r.Header.Get("x-seen"), "1")
				Equal(b, "answer's error", fmt.Sprint(r.Err), "<nil>")
				Equal(b, "bytes", r.Bytes, int64(tenMiB))
				Equal(b, "sum", r.SHA256, sum(tenMiB))
			}})
		}
	}
	return out
}

// sum is the checksum of n bytes of the pattern.
func sum(n int64) string {
	h := sha256.New()
	io.Copy(h, io.LimitReader(&upstream.Pattern{}, n))
	return hex.EncodeToString(h.Sum(nil))
}

// hashOf is the checksum of a text, patternHead the first n bytes of the pattern.
func hashOf(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func patternHead(n int64) string {
	p, _ := io.ReadAll(io.LimitReader(&upstream.Pattern{}, n))
	return string(p)
}
