package conformance

import (
	"context"
	"fmt"
	"io"
	"strings"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/framework/filter"
)

func asyncScenarios() []Scenario {
	return append(rows(append(asyncRows(), timeoutRows()...)), resetScenarios()...)
}

func asyncRows() []row {
	return []row{
		{
			name: "async: in every phase",
			chain: []M{Probe("p", "request_headers", "go; sleep 2ms; set x-a ${req.x-id}", "request_body", "go; sleep 2ms; body upper",
				"request_trailers", "go; sleep 2ms; set x-t 2", "response_headers", "go; sleep 2ms; set x-a 3",
				"response_body", "go; sleep 2ms; body upper", "response_trailers", "go; sleep 2ms; set x-t 4",
				"complete", traceTo), Probe("q", "request_headers", "set x-q ${has.x-a}")},
			req: client.Request{Body: "body", Trailer: []string{"x-t", "1"}, Path: "/echo?t=x-t:1", H2: true},
			up:  []string{"x-q", "true"}, upBody: "BODY", upTrailer: []string{"x-t", "2"},
			headers: []string{"x-a", "3"}, trailer: []string{"x-t", "4"},
		},
		{
			name: "async: at once",
			chain: []M{
				Probe("p", "request_headers", "go; set x-a 1", "request_body", "go; body upper",
					"response_headers", "go; set x-a 2", "response_body", "go; body upper"),
				Probe("q", "request_headers", "go", "request_body", "go", "response_headers", "go", "response_body", "go"),
			},
			req: client.Request{Chunks: manyChunks(20), Path: "/body/xyz"},
			up:  []string{"x-a", "1"}, upBody: strings.ToUpper(strings.Join(manyChunks(20), "")),
			headers: []string{"x-a", "2"}, body: "XYZ",
		},
		{
			name: "async: again inside",
			chain: []M{Probe("p", "request_headers", "go; set x-a 1; go; sleep 2ms; set x-a ${req.x-a}2; go; set x-a ${req.x-a}3",
				"response_headers", "go; go; set x-a 1")},
			up: []string{"x-a", "123"}, headers: []string{"x-a", "1"},
		},
		{
			name: "async: then wait, then later again",
			chain: []M{Probe("p", "request_headers", "go; sleep 2ms; waitbody", "request", "go; sleep 2ms; body append !",
				"response_headers", "go; sleep 2ms; waitbody", "response", "go; sleep 2ms; body append !")},
			req: client.Request{Body: "body", Path: "/body/xyz"}, upBody: "body!", body: "xyz!",
		},
		{
			name: "async: then pipe",
			chain: []M{Probe("p", "request_headers", "go; sleep 2ms; del content-length; pipe upper",
				"response_headers", "go; sleep 2ms; del content-length; pipe upper")},
			req: client.Request{Body: "body", Path: "/body/xyz"}, upBody: "BODY", body: "XYZ",
		},
		{
			name:  "async: a body that comes meanwhile is kept",
			chain: []M{Probe("p", "request_headers", "go; sleep 50ms; set x-a 1")},
			req:   client.Request{Chunks: manyChunks(100), Path: "/mirror"},
			up:    []string{"x-a", "1"}, upBody: strings.Join(manyChunks(100), ""),
		},
		{
			name: "async: metadata and attributes off Envoy's thread", needs: filter.CanSetMetadata,
			chain: []M{Probe("p", "request_headers", "go; sleep 2ms; meta moe.test a 1; set x-got ${attr.request.path}",
				"response_headers", "go; sleep 2ms; set x-got ${meta.moe.test/a}/${attr.response.code}")},
			req: client.Request{Path: "/body/x"}, up: []string{"x-got", "/body/x"}, headers: []string{"x-got", "1/200"},
		},
		{
			name: "async: a stream used by many goroutines at once",
			chain: []M{Probe("p", "request_headers", "race 8; go; race 8; set x-a 1", "response_headers", "race 8; go; race 8",
				"complete", "race 4")},
			up:   []string{"x-a", "1"},
			then: func(b *Bed, _ *client.Response) { b.Poll(zero(b, "goroutines")) },
		},
		{
			name:  "async: a handle kept beyond the stream does nothing",
			chain: []M{Probe("p", "request_headers", "stale h; set x-got ${last}; keep h")},
			up:    []string{"x-got", "nothing kept"},
			then: func(b *Bed, r *client.Response) {
				b.Access(r.ID) // it is over
				ln := b.Listen(Listen{Chain: Chain(Probe("p", "response_headers", "stale h; set x-got '${last}'"))})
				Equal(b, "use of a stale handle", ln.Do(client.Request{}).Header.Get("x-got"), "done")
			},
		},
	}
}

func timeoutRows() (rs []row) {
	for i, c := range []struct {
		name  string
		reset bool // the response has begun
		on    []string
	}{
		{"a function that never ends, in request headers", false, []string{"request_headers", "go; wait"}},
		{"in the request's body", false, []string{"request_body", "go; wait"}},
		{"in the whole request", false, []string{"request_headers", "waitbody", "request", "go; wait"}},
		{"in response headers", false, []string{"response_headers", "go; wait"}},
		{"in the response's body resets", true, []string{"response_body", "go; wait"}},
		{"of a pipe", false, []string{"request_headers", "del content-length; pipe wait"}},
		{"of a response's pipe resets", true, []string{"response_headers", "del content-length; pipe wait"}},
	} {
		id := fmt.Sprintf("t%d", i) // by which the metric counts
		doc := Chain(Probe(id, append(c.on, "complete", "log info 'done ${req.x-id} ${status}'")...))
		doc["timeout"] = "200ms"
		r := row{
			name: "timeout: " + c.name, listen: Listen{Chain: doc}, req: client.Request{Body: "body"},
			reset: c.reset, log: "done ID",
			then: func(b *Bed, _ *client.Response) {
				b.WaitMetric("moe.timeouts", fmt.Sprintf("plugin=%q", id), 1)
				b.Poll(zero(b, "waiting"))
			},
		}
		if !c.reset {
			r.status, r.details, r.log = 504, "moe."+id+".timeout", "done ID 504"
		}
		rs = append(rs, r)
	}
	return rs
}

// resetScenarios are clients that leave while a plugin decides: everything ends, once.
func resetScenarios() []Scenario {
	var out []Scenario
	for name, on := range map[string][]string{
		"request headers":   {"request_headers", "go; wait"},
		"request body":      {"request_body", "go; wait"},
		"the whole request": {"request_headers", "waitbody", "request", "go; wait"},
		"response headers":  {"response_headers", "go; wait"},
		"response body":     {"response_body", "go; wait"},
		"a request's pipe":  {"request_headers", "del content-length; pipe wait"},
		"a response's pipe": {"response_headers", "del content-length; pipe wait"},
	} {
		for _, h2 := range []bool{false, true} {
			proto := map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[h2]
			out = append(out, Scenario{Name: "reset: the client leaves during " + name + ", " + proto, Run: func(b *Bed) {
				resetDuring(b, h2, on)
			}})
		}
	}
	return append(out, Scenario{Name: "reset: the client leaves in the midst of its body", Run: func(b *Bed) {
		ln := b.Listen(Listen{Chain: Chain(ProbeOf("probestream", "s"),
			Probe("p", "request_body", "log info 'body ${req.x-id}'", "complete", "log info 'done ${req.x-id} ${ctx}'"))})
		before := b.Live()
		ctx, cancel := context.WithCancel(context.Background())
		pr, pw := io.Pipe()
		id := client.NewID()
		go client.Do(ln.Addr, client.Request{Context: ctx, Reader: pr, Header: []string{"x-id", id}, H2: true})
		pw.Write([]byte("some"))
		b.WaitLog("body " + id + `\b`)
		cancel()
		b.WaitLog("done " + id + `\b`)
		CompletedAll(b, before)
	}})
}

func resetDuring(b *Bed, h2 bool, on []string) {
	ln := b.Listen(Listen{Chain: Chain(ProbeOf("probestream", "s"),
		Probe("p", append(on, "complete", "log info 'done ${req.x-id} twice=no'")...))})
	before := b.Live()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	id := client.NewID()
	result := make(chan error, 1)
	go func() {
		r, err := client.Do(ln.Addr, client.Request{Context: ctx, Body: "body", Header: []string{"x-id", id}, H2: h2})
		if err == nil {
			err = r.Err
		}
		result <- err
	}()
	b.Waiting(before["waiting"] + 1)
	cancel()
	if err := <-result; err == nil {
		b.Errorf("the client got a whole response")
	}
	b.WaitLog("done " + id + `\b`)
	b.Waiting(before["waiting"])
	b.Poll(func() error {
		if n := b.Live()["cancelled"]; n <= before["cancelled"] {
			return fmt.Errorf("the plugin's context was not cancelled")
		}
		return nil
	})
	CompletedAll(b, before)
	Equal(b, "completions in the log", b.HostLog().Count(b.mark, "done "+id+`\b`), 1)
}

// CompletedAll waits until every stream since before has completed, and fails for one that did so twice.
func CompletedAll(b *Bed, before map[string]int64) {
	b.Helper()
	b.Poll(func() error {
		now := b.Live()
		started, completed := now["started"]-before["started"], now["completed"]-before["completed"]
		if started == 0 || started != completed {
			return fmt.Errorf("%d streams started, %d completed", started, completed)
		}
		if now["twice"] != 0 {
			return fmt.Errorf("%d streams completed more than once", now["twice"])
		}
		if now["goroutines"] != 0 {
			return fmt.Errorf("%d goroutines are left", now["goroutines"])
		}
		return nil
	})
}
