package conformance

import "mosn.io/moe/e2e/client"

func pipeScenarios() []Scenario { return rows(append(pipeRows(), trailerRows()...)) }

func pipeRows() []row {
	both := func(f string) []M {
		return []M{Probe("p", "request_headers", "del content-length; pipe "+f,
			"response_headers", "del content-length; pipe "+f)}
	}
	return []row{
		{
			name: "pipe: chunk by chunk, both ways", chain: both("upper"),
			req: client.Request{Chunks: []string{"ab", "cd", "ef"}, Path: "/body/xyz"}, upBody: "ABCDEF", body: "XYZ",
		},
		{
			name: "pipe: grows", chain: both("double"),
			req: client.Request{Body: "ab", Path: "/body/xyz"}, upBody: "abab", body: "xyzxyz",
		},
		{
			name: "pipe: something before", chain: both("prefix"),
			req: client.Request{Chunks: []string{"ab", "cd"}, Path: "/body/xyz"}, upBody: "<<abcd", body: "<<xyz",
		},
		{
			name: "pipe: something after", chain: both("suffix"),
			req: client.Request{Chunks: []string{"ab", "cd"}, Path: "/body/xyz"}, upBody: "abcd>>", body: "xyz>>",
		},
		{
			name: "pipe: reads all before it writes", chain: both("buffer"),
			req: client.Request{Chunks: manyChunks(20), Path: "/body/xyz"}, body: "XYZ",
			then: func(b *Bed, r *client.Response) {
				Equal(b, "bytes", b.Seen(r, 1)[0].Bytes, int64(len("chunk-0;")*10+len("chunk-10;")*10))
			},
		},
		{
			name: "pipe: returns early, the rest is dropped", chain: both("early"),
			req: client.Request{Chunks: []string{"abcd", "ef"}, Path: "/body/wxyz"}, upBody: "abc", body: "wxy",
		},
		{
			name: "pipe: writes nothing", chain: both("drop"),
			req: client.Request{Chunks: []string{"abcd", "ef"}, Path: "/body/wxyz"}, upBody: "-", body: "-",
		},
		{
			name: "pipe: two in a row",
			chain: []M{
				Probe("p", "request_headers", "pipe suffix", "response_headers", "del content-length; pipe suffix"),
				Probe("q", "request_headers", "pipe double", "response_headers", "pipe double"),
			},
			req: client.Request{Chunks: []string{"abcd"}, Path: "/body/xyz"}, upBody: "abcdabcd>>>>", body: "xyzxyz>>",
		},
		{
			name:   "pipe: over HTTP/2, with trailers after it",
			chain:  both("suffix"),
			req:    client.Request{Chunks: []string{"ab"}, Trailer: []string{"x-t", "1"}, Path: "/echo?t=x-t:1", H2: true},
			listen: Listen{Routes: []M{To("up2", "/")}},
			upBody: "ab>>", upTrailer: []string{"x-t", "1"}, trailer: []string{"x-t", "1"},
		},
		{
			name:  "pipe: an error resets the stream",
			chain: []M{Probe("p", "response_headers", "del content-length; pipe error")},
			req:   client.Request{Path: "/body/xyz"}, reset: true, log: `pipe-error`,
		},
		{
			name:  "pipe: no body, no pipe",
			chain: both("suffix"),
			req:   client.Request{Path: "/body/"}, body: "-", upBody: "-",
			neutral: true,
		},
	}
}

func trailerRows() []row {
	change := func(id string) M {
		return Probe(id, "request_trailers", "set x-got ${reqt.x-in}/${all.x-two}; set x-in new; add x-two 3; del x-gone",
			"response_trailers", "set x-got ${respt.x-in}/${all.x-two}; set x-in new; add x-two 3; del x-gone")
	}
	in := []string{"x-in", "old", "x-two", "1", "x-two", "2", "x-gone", "1"}
	out := []string{"x-got", "old/1|2", "x-in", "new", "x-two", "1|2|3", "x-gone", "-"}
	path := "/echo?t=x-in:old&t=x-two:1&t=x-two:2&t=x-gone:1"
	return []row{
		{
			name: "trailers: over HTTP/2", chain: []M{change("p")}, listen: Listen{Routes: []M{To("up2", "/")}},
			req: client.Request{Body: "body", Trailer: in, Path: path, H2: true}, upBody: "body",
			upTrailer: out, trailer: out,
		},
		{
			name: "trailers: of chunked HTTP/1.1", chain: []M{change("p")},
			req: client.Request{Body: "body", Trailer: in, Path: path}, upBody: "body",
			upTrailer: out, trailer: out,
		},
		{
			name:  "trailers: plugins that have no other phase",
			chain: []M{ProbeOf("probetrailers", "p", "request_trailers", "set x-got 1", "response_trailers", "set x-got 2")},
			req:   client.Request{Body: "body", Trailer: in, Path: path, H2: true}, upBody: "body",
			upTrailer: []string{"x-got", "1"}, trailer: []string{"x-got", "2"},
		},
		{
			name: "trailers: after a body that is waited for",
			chain: []M{Probe("p", "request_headers", "waitbody",
				"request", "set x-h ${bodylen}/${complete}/${reqt.x-in}; body append !",
				"response_headers", "waitbody", "response", "set x-h ${respt.x-in}; body set all"), change("q")},
			req: client.Request{Body: "body", Trailer: in, Path: path, H2: true}, upBody: "body!", body: "all",
			up: []string{"x-h", "4/true/old"}, upTrailer: out, headers: []string{"x-h", "new"}, trailer: out,
		},
		{
			name:  "trailers: of a plugin after one that waits",
			chain: []M{ProbeOf("probewhole", "p", "request", "body upper"), change("q")},
			req:   client.Request{Body: "body", Trailer: in, Path: path, H2: true}, upBody: "BODY",
			upTrailer: out, trailer: out,
		},
		{
			name:  "trailers: without a body",
			chain: []M{change("p")},
			req:   client.Request{Chunks: []string{}, Trailer: in, Path: path, H2: true, Method: "POST"}, upBody: "-",
			upTrailer: out, trailer: out,
		},
		{
			name:  "trailers: changed later",
			chain: []M{Probe("p", "request_trailers", "go; sleep 5ms; set x-got 1", "response_trailers", "go; sleep 5ms; set x-got 2")},
			req:   client.Request{Body: "body", Trailer: in, Path: path, H2: true}, upBody: "body",
			upTrailer: []string{"x-got", "1"}, trailer: []string{"x-got", "2"},
		},
	}
}
