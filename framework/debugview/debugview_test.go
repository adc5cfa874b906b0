package debugview_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/debugview"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// step is a plugin made of functions.
type step struct {
	request  func(filter.Stream, filter.RequestHeaders) filter.Action
	response func(filter.Stream, filter.ResponseHeaders) filter.Action
	body     func(filter.Body) filter.Action
}

func (p *step) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	if p.request == nil {
		return filter.Continue
	}
	return p.request(s, h)
}

func (p *step) OnRequestBody(_ filter.Stream, b filter.Body, _ bool) filter.Action {
	if p.body == nil {
		return filter.Continue
	}
	return p.body(b)
}

func (p *step) OnResponseHeaders(s filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	if p.response == nil {
		return filter.Continue
	}
	return p.response(s, h)
}

func init() { filter.Register[step]("step", filter.Access) }

// bed runs streams through a chain that has a View.
type bed struct {
	chain *chain.Chain
	log   *bytes.Buffer
	from  string // the client's address

	metadata map[string]any

	posted chan func()
	out    map[string][]string // what leaves: request and response headers as "name: value"
}

func newBed(o debugview.Options, plugins ...*step) *bed {
	b := &bed{log: &bytes.Buffer{}, from: "192.0.2.1:1234", metadata: map[string]any{}, posted: make(chan func(), 10)}
	o.Log = slog.New(slog.NewJSONHandler(b.log, nil))
	var list []chain.Plugin
	for i, p := range plugins {
		list = append(list, chain.Plugin{Name: fmt.Sprint("p", i), Reg: filter.Lookup("step"), Config: p})
	}
	b.chain = chain.New(list, chain.Options{Watch: debugview.New(o).Watch})
	return b
}

// run has one request, with these headers beside the usual ones and pieces of a body, and the response 200.
func (b *bed) run(t *testing.T, headers []core.Field, body ...string) {
	t.Helper()
	b.out = map[string][]string{}
	st := b.chain.Start(b, b)
	fill := func(block int, fields ...core.Field) {
		st.H[block].Fields, st.H[block].Present = append(st.H[block].Fields[:0], fields...), true
	}
	fill(core.RequestHeaders, append([]core.Field{
		{Name: ":method", Value: "GET"},
		{Name: ":path", Value: "/a/b?secret=hush"},
		{Name: ":authority", Value: "example.com"},
		{Name: "x-request-id", Value: "id-1"},
		{Name: "traceparent", Value: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	}, headers...)...)
	defer st.Done()
	st.Headers(core.Request, len(body) == 0)
	for st.Busy(core.Request) {
		select {
		case f := <-b.posted:
			f()
		case <-time.After(5 * time.Second):
			t.Fatal("the request waits for 5s")
		}
	}
	for i, p := range body {
		st.Data(core.Request, []byte(p), i == len(body)-1)
	}
	b.note("request", st.H[core.RequestHeaders].Fields)
	if !st.Replied {
		fill(core.ResponseHeaders, core.Field{Name: ":status", Value: "200"}, core.Field{Name: "server-timing", Value: "db;dur=53"})
		st.Headers(core.Response, true)
	}
	b.note("response", st.H[core.ResponseHeaders].Fields)
}

func (b *bed) note(what string, fields []core.Field) {
	for _, f := range fields {
		b.out[what] = append(b.out[what], f.Name+": "+f.Value)
	}
}

// serverTimings returns the values of the header in the last response.
func (b *bed) serverTimings() (values []string) {
	for _, f := range b.out["response"] {
		if v, ok := strings.CutPrefix(f, "server-timing: "); ok {
			values = append(values, v)
		}
	}
	return values
}

type line struct {
	Level, Msg string
	Record     debugview.Record
}

// lines returns the records so far.
func (b *bed) lines(t *testing.T) (all []line) {
	t.Helper()
	for text := range strings.Lines(b.log.String()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("the log has %q: %v", text, err)
		}
		all = append(all, l)
	}
	return all
}

func (b *bed) Attribute(name string) (string, error) {
	switch name {
	case "source.address":
		return b.from, nil
	case "xds.route_name":
		return "r1", nil
	}
	return "", core.ErrNotFound
}

func (b *bed) Metadata(namespace, key string) (any, error) {
	if v, ok := b.metadata[namespace+"/"+key]; ok {
		return v, nil
	}
	return nil, core.ErrNotFound
}

func (b *bed) SetMetadata(namespace, key string, value any) error {
	b.metadata[namespace+"/"+key] = value
	return nil
}

func (b *bed) FilterState(string) (string, error)  { return "", core.ErrUnsupported }
func (b *bed) SetFilterState(string, string) error { return core.ErrUnsupported }
func (b *bed) ClearRouteCache() error              { return core.ErrUnsupported }
func (b *bed) SetUpstreamHost(string, bool) error  { return core.ErrUnsupported }
func (b *bed) Secret(string) (string, error)       { return "", core.ErrUnsupported }
func (b *bed) Fetch(int) []core.Field              { return nil }
func (b *bed) BufferLimit() int                    { return 0 }
func (b *bed) Escaped()                            {}
func (b *bed) Headers(core.Direction, bool)        {}
func (b *bed) Data(core.Direction, []byte, bool)   {}
func (b *bed) Trailers(core.Direction)             {}
func (b *bed) Reset(string)                        {}
func (b *bed) Post(f func())                       { b.posted <- f }

func fields(pairs ...string) (all []core.Field) {
	for pair := range slices.Chunk(pairs, 2) {
		all = append(all, core.Field{Name: pair[0], Value: pair[1]})
	}
	return all
}

// Only those who may ask are shown anything, and the token goes no further.
func TestWho(t *testing.T) {
	o := debugview.Options{
		Token:        &debugview.Token{Header: "x-moe-debug", Key: filter.NewSecret(key)},
		Header:       &debugview.Header{Name: "x-show", Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}},
		ServerTiming: true, Record: true,
	}
	good := debugview.Sign(key, time.Now().Add(time.Minute))
	for _, c := range []struct {
		name    string
		from    string
		headers []core.Field
		want    string // why it is shown
	}{
		{name: "nobody asks"},
		{name: "a token", headers: fields("x-moe-debug", good), want: "token"},
		{name: "a token twice", headers: fields("x-moe-debug", good, "x-moe-debug", good)},
		{name: "a token in another spelling of the header", headers: fields("x_moe_debug", good)},
		{name: "an expired token", headers: fields("x-moe-debug", debugview.Sign(key, time.Now().Add(-time.Second)))},
		{name: "a token of another key", headers: fields("x-moe-debug", debugview.Sign("another key of 16", time.Now().Add(time.Minute)))},
		{name: "a header from a network", from: "10.1.2.3:99", headers: fields("x-show", "1"), want: "header"},
		{name: "a header from a network of IPv6", from: "[2001:db8::1]:99", headers: fields("x-show", ""), want: "header"},
		{name: "a header from a mapped address", from: "[::ffff:10.1.2.3]:99", headers: fields("x-show", "1"), want: "header"},
		{name: "no header from a network", from: "10.1.2.3:99"},
		{name: "a header from elsewhere", headers: fields("x-show", "1", "x-forwarded-for", "10.1.2.3")},
		{name: "a header from no address", from: "/run/socket", headers: fields("x-show", "1")},
		{name: "a header and a wrong token from elsewhere", headers: fields("x-show", "1", "x-moe-debug", "moe1.1.AA")},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(o, &step{})
			if c.from != "" {
				b.from = c.from
			}
			b.run(t, c.headers)
			why := ""
			for _, l := range b.lines(t) {
				why += l.Record.Why
			}
			if why != c.want {
				t.Errorf("records: got %q, want %q", why, c.want)
			}
			if got := len(b.serverTimings()) == 2; got != (c.want != "") {
				t.Errorf("server-timing: got %q, want one of ours: %t", b.serverTimings(), c.want != "")
			}
			for _, f := range b.out["request"] {
				if strings.HasPrefix(f, "x-moe-debug") {
					t.Errorf("the upstream gets %q", f)
				}
			}
		})
	}
}

// Clients who did not ask see nothing of a request that is recorded by chance or because it is slow.
func TestNotShownToTheClient(t *testing.T) {
	for _, c := range []struct {
		name string
		o    debugview.Options
	}{
		{name: "sample", o: debugview.Options{Sample: 1, Record: true, ServerTiming: true}},
		{name: "slow", o: debugview.Options{Slow: time.Nanosecond, ServerTiming: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(c.o, &step{})
			b.run(t, nil)
			if got := b.serverTimings(); len(got) != 1 {
				t.Errorf("server-timing: got %q, want the upstream's alone", got)
			}
			if got := b.lines(t); len(got) != 1 || got[0].Record.Why != c.name {
				t.Errorf("records: got %+v, want one because of %s", got, c.name)
			}
		})
	}
}

func TestSample(t *testing.T) {
	b := newBed(debugview.Options{Sample: 0.5, Record: true}, &step{})
	for range 400 {
		b.run(t, nil)
	}
	// 400 tosses of a coin: outside of these bounds once in 10^14 runs.
	if n := len(b.lines(t)); n < 120 || n > 280 {
		t.Errorf("%d of 400 requests were recorded, want about 200", n)
	}
}

var timeless = []cmp.Option{
	cmpopts.IgnoreFields(debugview.Record{}, "Time", "Total", "Plugins"), cmpopts.IgnoreFields(debugview.Step{}, "At", "Took"),
	cmpopts.IgnoreFields(debugview.Event{}, "At"),
}

// A record has the order, what was changed, and what was waited for; it has no value.
func TestRecord(t *testing.T) {
	b := newBed(debugview.Options{Sample: 1, Record: true},
		&step{request: func(_ filter.Stream, h filter.RequestHeaders) filter.Action {
			h.Set("authorization", "hush hush")
			h.Del("cookie")
			return filter.Continue
		}, body: func(b filter.Body) filter.Action { return filter.Continue }},
		&step{
			request: func(filter.Stream, filter.RequestHeaders) filter.Action {
				return filter.Go(func(context.Context) filter.Action {
					time.Sleep(20 * time.Millisecond)
					return filter.Continue
				})
			},
			response: func(_ filter.Stream, h filter.ResponseHeaders) filter.Action {
				h.Set("x-new", "hush")
				return filter.Continue
			},
		})
	b.run(t, fields("cookie", "hush=1"), "one", "two")
	lines := b.lines(t)
	if len(lines) != 1 {
		t.Fatalf("got %d lines, want 1: %s", len(lines), b.log)
	}
	r := lines[0].Record
	waited := &r.Steps[1].Waited
	if *waited < 20 || r.Steps[1].Took < *waited || r.Plugins < *waited || r.Total < r.Plugins {
		t.Errorf("p1 has waited %v of %v ms, the plugins took %v of %v ms; want 20 ms at least, each within the next",
			*waited, r.Steps[1].Took, r.Plugins, r.Total)
	}
	*waited = 20
	want := debugview.Record{
		Why: "sample", RequestID: "id-1", TraceID: "0af7651916cd43dd8448eb211c80319c", Route: "r1", Method: "GET",
		Host: "example.com", Path: "/a/b", Status: 200,
		Steps: []debugview.Step{
			{Plugin: "p0", Phase: "OnRequestHeaders", Changed: []debugview.Change{
				{Name: "authorization", Before: -1, After: 9}, {Name: "cookie", Before: 6, After: -1},
			}},
			{Plugin: "p1", Phase: "OnRequestHeaders", Waited: 20},
			{Plugin: "p0", Phase: "OnRequestBody", Calls: 2},
			{Plugin: "p1", Phase: "OnRequestBody", Calls: 2},
			{Plugin: "p1", Phase: "OnResponseHeaders", Changed: []debugview.Change{{Name: "x-new", Before: -1, After: 4}}},
			{Plugin: "p0", Phase: "OnResponseHeaders"},
		},
	}
	if diff := cmp.Diff(want, r, timeless...); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	if strings.Contains(b.log.String(), "hush") {
		t.Errorf("the record has a value: %s", b.log)
	}
}

// What ends a stream is an event of its record.
func TestEvents(t *testing.T) {
	for _, c := range []struct {
		name string
		does func(filter.Stream, filter.RequestHeaders) filter.Action
		want []debugview.Event
	}{
		{
			name: "reply", want: []debugview.Event{{Kind: "reply", Plugin: "p0", Status: 403, Own: true, Details: "moe.p0"}},
			does: func(filter.Stream, filter.RequestHeaders) filter.Action { return filter.Reply(403, "no") },
		},
		{
			name: "panic", want: []debugview.Event{
				{Kind: "panic", Plugin: "p0", Details: "OnRequestHeaders"},
				{Kind: "reply", Plugin: "p0", Status: 500, Details: "moe.p0.panic"},
			},
			does: func(filter.Stream, filter.RequestHeaders) filter.Action { panic(errors.New("hush")) },
		},
		{
			name: "reset", want: []debugview.Event{{Kind: "reset", Details: "enough"}},
			does: func(filter.Stream, filter.RequestHeaders) filter.Action { return filter.Reset("enough") },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(debugview.Options{Sample: 1, Record: true}, &step{request: c.does})
			b.run(t, nil)
			lines := b.lines(t)
			if len(lines) != 1 {
				t.Fatalf("got %d lines, want 1: %s", len(lines), b.log)
			}
			if diff := cmp.Diff(c.want, lines[0].Record.Events, timeless...); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSlow(t *testing.T) {
	wait := func(d time.Duration) *step {
		return &step{request: func(filter.Stream, filter.RequestHeaders) filter.Action {
			return filter.Go(func(context.Context) filter.Action {
				time.Sleep(d)
				return filter.Continue
			})
		}}
	}
	b := newBed(debugview.Options{Slow: 30 * time.Millisecond}, wait(20*time.Millisecond), wait(20*time.Millisecond))
	b.run(t, nil)
	lines := b.lines(t)
	if len(lines) != 1 || lines[0].Level != "WARN" || lines[0].Msg != "slow request" || lines[0].Record.Why != "slow" {
		t.Errorf("two plugins of 20ms: got %+v, want one warning of a slow request", lines)
	}
	b = newBed(debugview.Options{Slow: 10 * time.Second}, wait(20*time.Millisecond))
	b.run(t, nil)
	if got := b.lines(t); len(got) != 0 {
		t.Errorf("a plugin of 20ms, with a threshold of 10s: got %+v, want nothing", got)
	}
}

// The header is what W3C Server Timing says: a list of metrics, each a token with parameters.
func TestServerTiming(t *testing.T) {
	o := debugview.Options{Token: &debugview.Token{Header: "x-moe-debug", Key: filter.NewSecret(key)}, ServerTiming: true}
	token := fields("x-moe-debug", debugview.Sign(key, time.Now().Add(time.Minute)))
	metric := `(moe|moe-[A-Za-z0-9._-]+);dur=[0-9]+(\.[0-9]+)?(;desc="waited [0-9.]+")?`
	form := regexp.MustCompile(`^` + metric + `(, ` + metric + `)*$`)
	t.Run("two plugins", func(t *testing.T) {
		b := newBed(o, &step{}, &step{})
		b.run(t, token)
		got := b.serverTimings()
		if len(got) != 2 || got[0] != "db;dur=53" || !form.MatchString(got[1]) || strings.Count(got[1], "moe-p") != 2 {
			t.Errorf("server-timing: got %q, want the upstream's and one of moe-p0 and moe-p1", got)
		}
	})
	t.Run("a hundred plugins", func(t *testing.T) {
		b := newBed(o, slices.Repeat([]*step{{}}, 100)...)
		b.run(t, token)
		got := b.serverTimings()
		if len(got) != 2 || len(got[1]) > 2<<10 || !form.MatchString(got[1]) {
			t.Errorf("server-timing: got %q, want 2 KiB at most of the form %s", got, form)
		}
	})
	t.Run("a plugin replies", func(t *testing.T) {
		b := newBed(o, &step{}, &step{request: func(filter.Stream, filter.RequestHeaders) filter.Action { return filter.Reply(401, "") }})
		b.run(t, token)
		if got := b.serverTimings(); len(got) != 1 || strings.Count(got[0], "moe-p") != 2 {
			t.Errorf("server-timing of a reply: got %q, want one of moe-p0 and moe-p1", got)
		}
	})
}

// Whatever plugins and clients do, a record is bounded.
func TestBounds(t *testing.T) {
	noisy := &step{request: func(_ filter.Stream, h filter.RequestHeaders) filter.Action {
		for i := range 100 {
			h.Set(fmt.Sprintf("x-%s-%d", strings.Repeat("n", 500), i), "v")
		}
		return filter.Continue
	}}
	b := newBed(debugview.Options{Sample: 1, Record: true}, slices.Repeat([]*step{noisy}, 100)...)
	b.run(t, fields("x-request-id", strings.Repeat("i", 60_000), "x", strings.Repeat("v", 60_000)), slices.Repeat([]string{"piece"}, 1000)...)
	lines := b.lines(t)
	if len(lines) != 1 {
		t.Fatalf("got %d lines, want 1", len(lines))
	}
	if n, r := b.log.Len(), lines[0].Record; n > 33<<10 || r.Dropped == 0 || len(r.Steps) == 0 {
		t.Errorf("the line has %d bytes, %d steps and %d dropped; want 33 KiB at most, some steps and some dropped",
			n, len(r.Steps), r.Dropped)
	}
	b.log.Reset()
	b.run(t, nil)
	if r := b.lines(t)[0].Record; len(r.Steps) == 0 || r.Steps[0].Plugin != "p0" {
		t.Errorf("the next request's record begins with %+v, want p0", r.Steps)
	}
}

// The part of a chain that begins chooses for the parts that follow, to which the token does not come.
func TestParts(t *testing.T) {
	o := debugview.Options{Token: &debugview.Token{Header: "x-moe-debug", Key: filter.NewSecret(key)}, ServerTiming: true}
	leads, follows := o, o
	leads.Leads, follows.Follows = true, true
	token := fields("x-moe-debug", debugview.Sign(key, time.Now().Add(time.Minute)))
	first, second := newBed(leads, &step{}), newBed(follows, &step{})
	first.run(t, token)
	second.metadata = first.metadata
	second.run(t, nil)
	if got := second.serverTimings(); len(got) != 2 {
		t.Errorf("the part that follows a chosen request: server-timing is %q, want the upstream's and ours", got)
	}
	second.metadata = map[string]any{}
	second.run(t, token)
	if got := second.serverTimings(); len(got) != 1 {
		t.Errorf("a token at the part that follows: server-timing is %q, want the upstream's alone", got)
	}
}
