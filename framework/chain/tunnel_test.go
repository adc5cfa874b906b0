package chain_test

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/framework/internal/core"
)

// TestTunnel has plugins wait for the body of requests whose headers are followed by the bytes of a tunnel.
func TestTunnel(t *testing.T) {
	upgrade := []string{"Connection", "keep-alive, Upgrade", "Upgrade", "WebSocket"}
	for _, c := range []struct {
		name    string
		method  string
		headers []string
		want    string // what Upgrade returns
		waits   bool   // for the body, which comes
	}{
		{name: "WebSocket", method: "GET", headers: upgrade, want: "websocket"},
		{name: "CONNECT", method: "CONNECT", want: "connect"},
		{name: "Upgrade without Connection", method: "POST", headers: upgrade[2:], waits: true},
		{name: "Connection without Upgrade", method: "POST", headers: upgrade[:2], waits: true},
		{name: "plain", method: "POST", waits: true},
	} {
		for _, wait := range []struct {
			name   string
			action filter.Action
		}{{"WaitBody", filter.WaitBody}, {"WaitPrefix", filter.WaitPrefix(1)}} {
			t.Run(c.name+"/"+wait.name, func(t *testing.T) {
				var protocol, body string
				complete, calls := false, 0
				h := filtertest.New(t, &probe{
					reqH: func(s filter.Stream, _ filter.Headers, _ bool) filter.Action {
						protocol = s.RequestHeaders().Upgrade()
						return wait.action
					},
					req: func(_ filter.Stream, _ filter.Headers, b filter.Body) filter.Action {
						body, complete, calls = string(b.Bytes()), b.Complete(), calls+1
						return filter.Continue
					},
				})
				r := httptest.NewRequest(c.method, "http://a.test/", strings.NewReader("bytes"))
				for i := 0; i < len(c.headers); i += 2 {
					r.Header.Set(c.headers[i], c.headers[i+1])
				}
				res := h.Do(r)
				if protocol != c.want {
					t.Errorf("Upgrade returns %q, want %q", protocol, c.want)
				}
				if want := "bytes"; res.Sent != want || res.Status != 200 {
					t.Errorf("the upstream got %q, status %d, want %q and 200", res.Sent, res.Status, want)
				}
				want := ""
				if c.waits {
					want = "bytes"
				}
				if body != want || !complete || calls != 1 {
					t.Errorf("OnRequest was called %d times with %q, complete %v, want once with %q, complete", calls, body, complete, want)
				}
			})
		}
	}
}

// TestTunnelActions has OnRequest end in other ways on a tunnel.
func TestTunnelActions(t *testing.T) {
	for _, c := range []struct {
		name   string
		action filter.Action
		set    string
		sent   string
		status int
		bug    string
	}{
		{name: "Continue", action: filter.Continue, sent: "bytes", status: 200},
		{name: "Reply", action: filter.Reply(401, "no"), status: 401},
		{name: "Go", action: filter.Go(func(context.Context) filter.Action { return filter.Continue }), sent: "bytes", status: 200},
		{name: "a body of its own", action: filter.Continue, set: "more", sent: "bytes", status: 200, bug: "gives a tunnel a body"},
		{name: "WaitBody again", action: filter.WaitBody, sent: "bytes", status: 200, bug: "no more body can follow"},
		{name: "Pipe", action: filter.Pipe(func(_ context.Context, w io.Writer, r io.Reader) error {
			all, err := io.ReadAll(r)
			io.WriteString(w, strings.ToUpper(string(all)))
			return err
		}), sent: "BYTES", status: 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &filtertest.Host{AllowsBugs: true}
			if err := h.Load(t, &probe{
				reqH: func(filter.Stream, filter.Headers, bool) filter.Action { return filter.WaitBody },
				req: func(_ filter.Stream, _ filter.Headers, b filter.Body) filter.Action {
					if c.set != "" {
						b.Set([]byte(c.set))
					}
					return c.action
				},
			}); err != nil {
				t.Fatalf("Load: %v", err)
			}
			r := httptest.NewRequest("GET", "http://a.test/", strings.NewReader("bytes"))
			r.Header.Set("Connection", "upgrade")
			r.Header.Set("Upgrade", "websocket")
			res := h.Do(r)
			if res.Status != c.status || res.Sent != c.sent {
				t.Errorf("status %d, the upstream got %q, want %d and %q", res.Status, res.Sent, c.status, c.sent)
			}
			bugs := strings.Join(h.Bugs(), "\n")
			if c.bug == "" && bugs != "" || !strings.Contains(bugs, c.bug) {
				t.Errorf("the bugs are %q, want %q", bugs, c.bug)
			}
		})
	}
}

// TestTunnelResponse has a plugin wait for the response's body: an upstream that agrees to the tunnel has none.
func TestTunnelResponse(t *testing.T) {
	for _, c := range []struct {
		name   string
		status string
		waits  bool
	}{{name: "agrees", status: "101"}, {name: "refuses", status: "403", waits: true}} {
		t.Run(c.name, func(t *testing.T) {
			called := false
			p := &probe{
				respH: func(filter.Stream, filter.Headers, bool) filter.Action { return filter.WaitBody },
				resp: func(filter.Stream, filter.Headers, filter.Body) filter.Action {
					called = true
					return filter.Continue
				},
			}
			st := chain.New([]chain.Plugin{{Name: "p", Reg: filter.Lookup("probe"), Config: p}}, chain.Options{}).Start(dead{}, dead{})
			st.H[core.RequestHeaders].Fields = []core.Field{
				{Name: ":method", Value: "GET"}, {Name: "connection", Value: "Upgrade"}, {Name: "upgrade", Value: "websocket"},
			}
			st.H[core.RequestHeaders].Present = true
			st.Headers(chain.Request, false)
			st.H[core.ResponseHeaders].Fields = []core.Field{{Name: ":status", Value: c.status}}
			st.H[core.ResponseHeaders].Present = true
			st.Headers(chain.Response, false)
			if called == c.waits || st.HoldsBody(chain.Response) != c.waits {
				t.Errorf("OnResponse called %v, holds %v; want %v and %v", called, st.HoldsBody(chain.Response), !c.waits, c.waits)
			}
			st.Done()
		})
	}
}

// TestBodyStalls holds headers for a body that stops coming.
func TestBodyStalls(t *testing.T) {
	for _, c := range []struct {
		name   string
		dir    core.Direction
		status string
	}{{"request", chain.Request, "408"}, {"response", chain.Response, "504"}} {
		for _, offload := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, offloaded %t", c.name, offload), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					wait := func(filter.Stream, filter.Headers, bool) filter.Action { return filter.WaitBody }
					p := &probe{}
					if c.dir == chain.Request {
						p.reqH = wait
					} else {
						p.respH = wait
					}
					const timeout = 60 * time.Millisecond
					sink := &posts{c: make(chan func(), 9)}
					st := chain.New([]chain.Plugin{{Name: "p", Reg: filter.Lookup("probe"), Config: p}},
						chain.Options{Timeout: timeout}).Start(sink, sink)
					fill(st)
					st.Headers(chain.Request, c.dir == chain.Response)
					if c.dir == chain.Response {
						st.Headers(chain.Response, false)
					}
					if offload && !st.OffloadBuffering(c.dir) {
						t.Fatal("OffloadBuffering reports false, want true")
					}
					began := time.Now()
					for time.Since(began) < 2*timeout && !offload { // as long as some of it comes, nothing happens
						st.Data(c.dir, []byte("x"), false)
						select {
						case f := <-sink.c:
							f()
						case <-time.After(timeout / 4):
						}
					}
					if st.Replied {
						t.Fatal("the chain replies while the body is coming")
					}
					select {
					case f := <-sink.c:
						f()
					case <-time.After(2 * timeout):
					}
					if offload == st.Replied {
						t.Fatalf("the chain has replied: %v, want %v", st.Replied, !offload)
					}
					if got := internals.Stream(&st.Stream, 0).ResponseHeaders().Get(":status"); !offload && got != c.status {
						t.Errorf("the status is %s, want %s", got, c.status)
					}
					if want := "moe.p.body_timeout"; !offload && st.ReplyDetails != want {
						t.Errorf("the details are %q, want %q", st.ReplyDetails, want)
					}
					st.Done()
				})
			})
		}
	}
}

// A request that asks for an upgrade and declares a body is refused before a plugin sees it: the upstream might take for a
// body what plugins take for a tunnel's bytes.
func TestUpgradeWithBody(t *testing.T) {
	for _, c := range []struct {
		name    string
		headers []string
		refused bool
	}{
		{name: "content-length", headers: []string{"Content-Length", "5"}, refused: true},
		{name: "transfer-encoding", headers: []string{"Transfer-Encoding", "chunked"}, refused: true},
		{name: "no body"},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := false
			h := filtertest.New(t, &probe{
				reqH: func(filter.Stream, filter.Headers, bool) filter.Action {
					seen = true
					return filter.Continue
				},
			})
			r := httptest.NewRequest("POST", "http://a.test/", strings.NewReader("bytes"))
			r.Header.Set("Connection", "upgrade")
			r.Header.Set("Upgrade", "websocket")
			for i := 0; i < len(c.headers); i += 2 {
				r.Header.Set(c.headers[i], c.headers[i+1])
			}
			res := h.Do(r)
			if refused := res.Status == 400 && res.Details == "moe.upgrade_with_body" && !seen; refused != c.refused {
				t.Errorf("status %d, details %q, a plugin has seen it: %v; want it refused: %v", res.Status, res.Details, seen, c.refused)
			}
		})
	}
}
