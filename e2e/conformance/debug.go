package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/framework/debugview"
)

// debugScenarios are about the debug view: who is shown what the plugins do, and what that is.
func debugScenarios() []Scenario {
	return []Scenario{
		{Name: "debug: a signed token", Run: debugToken},
		{Name: "debug: a header from allowed networks", Run: debugHeader},
		{Name: "debug: what the plugins change and wait for", Run: debugRecord},
		{Name: "debug: a reply, a panic, and a slow plugin", Run: debugEvents},
	}
}

// debugChain writes the document of a chain with a debug view.
func debugChain(view M, plugins ...M) M {
	doc := Chain(plugins...)
	doc["debug"] = view
	return doc
}

var recordLine = regexp.MustCompile(`(?m)record=(.*)$`)

// records returns what was logged of requests with that id in the scenario so far.
func (b *Bed) records(id string) (all []debugview.Record) {
	b.Helper()
	for _, m := range recordLine.FindAllStringSubmatch(b.HostLog().Since(b.mark), -1) {
		text := m[1]
		if strings.HasPrefix(text, `"`) { // by slog's text handler, outside of Envoy
			var err error
			if text, err = strconv.Unquote(text); err != nil {
				b.Fatalf("a record cannot be unquoted: %v: %s", err, m[1])
			}
		}
		var r debugview.Record
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			b.Fatalf("a record is not JSON: %v: %s", err, text)
		}
		if r.RequestID == id {
			all = append(all, r)
		}
	}
	return all
}

// record waits for the record of a request.
func (b *Bed) record(id string) (r debugview.Record) {
	b.Helper()
	b.Poll(func() error {
		all := b.records(id)
		if len(all) != 1 {
			return fmt.Errorf("the log has %d records of %s, want 1", len(all), id)
		}
		r = all[0]
		return nil
	})
	return r
}

// timings returns the Server-Timing fields of a response that name plugins.
func timings(r *client.Response) (ours []string) {
	for _, v := range r.Header.Values("server-timing") {
		if strings.HasPrefix(v, "moe;dur=") {
			ours = append(ours, v)
		}
	}
	return ours
}

func debugToken(b *Bed) {
	const key = "0123456789abcdef0123456789abcdef"
	file := filepath.Join(b.TempDir(), "key")
	if err := os.WriteFile(file, []byte(key), 0o644); err != nil {
		b.Fatal(err)
	}
	view := M{"serverTiming": true, "record": true, "when": M{"token": M{"key": M{"file": file}}}}
	ln := b.Listen(Listen{Chain: debugChain(view,
		Probe("a", "request_headers", "set x-seen '[${req.x-moe-debug}]'"), Probe("b", "response_headers", "set server-timing 'db;dur=1'"))})
	token := debugview.Sign(key, time.Now().Add(time.Minute))
	for _, c := range []struct {
		name, token string
		shown       bool
	}{
		{name: "valid", token: token, shown: true},
		{name: "another-key", token: debugview.Sign(strings.Repeat("x", 32), time.Now().Add(time.Minute))},
		{name: "expired", token: debugview.Sign(key, time.Now().Add(-time.Second))},
		{name: "changed", token: token + "A"},
		{name: "still-valid", token: token, shown: true},
	} {
		b.Run(c.name, func() {
			id := "debug-" + client.NewID()
			r := ln.Do(client.Request{Header: []string{"x-moe-debug", c.token, "x-request-id", id}})
			Equal(b, "status", r.Status, 200)
			seen := b.Seen(r, 1)[0]
			Equal(b, "the token at the first plugin", seen.Header.Get("x-seen"), "[]")
			Equal(b, "the token at the upstream", seen.Header.Get("x-moe-debug"), "")
			Equal(b, "the plugin's own server-timing", r.Header.Get("server-timing"), "db;dur=1")
			ours := timings(r)
			if !c.shown {
				Equal(b, "our server-timing", len(ours), 0)
				return
			}
			if len(ours) != 1 || !strings.Contains(ours[0], "moe-a;dur=") || !strings.Contains(ours[0], "moe-b;dur=") {
				b.Errorf("server-timing: got %q, want one of moe-a and moe-b", r.Header.Values("server-timing"))
			}
			rec := b.record(id)
			Equal(b, "why", rec.Why, "token")
			Equal(b, "status", rec.Status, 200)
		})
	}
}

func debugHeader(b *Bed) {
	for _, c := range []struct {
		name, network, from string
		shown               bool
	}{
		{name: "allowed", network: "127.0.0.0/8", shown: true},
		{name: "elsewhere", network: "10.0.0.0/8"},
		{name: "forged", network: "10.0.0.0/8", from: "10.1.2.3"},
	} {
		b.Run(c.name, func() {
			view := M{"serverTiming": true, "when": M{"header": M{"name": "x-show", "networks": A{c.network}}}}
			ln := b.Listen(Listen{Chain: debugChain(view, Probe("a")), HCM: M{"use_remote_address": true}})
			header := []string{"x-show", "1"}
			if c.from != "" {
				header = append(header, "x-forwarded-for", c.from)
			}
			r := ln.Do(client.Request{Header: header})
			b.Seen(r, 1)
			Equal(b, "our server-timing", len(timings(r)) == 1, c.shown)
			// Control: the chain has a debug view at all.
			other := b.Listen(Listen{
				Chain: debugChain(M{"serverTiming": true, "when": M{"header": M{"name": "x-show", "networks": A{"0.0.0.0/0", "::/0"}}}}, Probe("a")),
			})
			Equal(b, "server-timing for all networks", len(timings(other.Do(client.Request{Header: header}))), 1)
			Equal(b, "server-timing without the header", len(timings(other.Do(client.Request{}))), 0)
		})
	}
}

func debugRecord(b *Bed) {
	ln := b.Listen(Listen{Chain: debugChain(M{"record": true, "when": M{"sample": 1}},
		Probe("a", "request_headers", "set x-hush hush-hush; del x-gone"),
		Probe("b", "request_headers", "go; sleep 30ms; set x-late 1", "response_headers", "set x-new abc"),
		Probe("c", "request_headers", "waitbody"))})
	id := "debug-" + client.NewID()
	r := ln.Do(client.Request{Path: "/echo?hush=hush-hush", Header: []string{"x-request-id", id, "x-gone", "hush-hush"}, Chunks: []string{"one", "two"}, Pause: 200 * time.Millisecond})
	Equal(b, "status", r.Status, 200)
	rec := b.record(id)
	var got []string
	for _, s := range rec.Steps {
		text := s.Plugin + " " + s.Phase
		for _, c := range s.Changed {
			text += fmt.Sprintf(" %s %d→%d", c.Name, c.Before, c.After)
		}
		if len(s.Changed) > 0 || s.Phase == "OnRequestHeaders" || s.Phase == "OnRequest" {
			got = append(got, text)
		}
		if s.Plugin == "b" && s.Phase == "OnRequestHeaders" && (s.Waited < 30 || s.Took < s.Waited) {
			b.Errorf("b waits for 30 ms: the record has %v of %v", s.Waited, s.Took)
		}
	}
	for _, want := range []string{
		"a OnRequestHeaders x-hush -1→9 x-gone 9→-1", "b OnRequestHeaders x-late -1→1", "c OnRequestHeaders", "c OnRequest",
		"b OnResponseHeaders x-new -1→3",
	} {
		if !slices.Contains(got, want) {
			b.Errorf("steps: got %q, want %q", got, want)
		}
	}
	if i, j := slices.Index(got, "b OnRequestHeaders x-late -1→1"), slices.Index(got, "c OnRequestHeaders"); i > j {
		b.Errorf("b runs after c: %q", got)
	}
	waits := slices.ContainsFunc(rec.Events, func(e debugview.Event) bool {
		return e.Kind == "wait" && e.Plugin == "c" && e.Wait == "body" && e.Took > 0
	})
	if !waits {
		b.Errorf("events: got %+v, want c's wait for the body", rec.Events)
	}
	Equal(b, "path", rec.Path, "/echo")
	Equal(b, "status", rec.Status, 200)
	if rec.Total < rec.Plugins || rec.Plugins < 30 {
		b.Errorf("the plugins took %v of %v ms, want 30 of more", rec.Plugins, rec.Total)
	}
	if text := recordLine.FindString(b.HostLog().Since(b.mark)); strings.Contains(text, "hush-hush") {
		b.Errorf("the record has a value: %s", text)
	}
}

func debugEvents(b *Bed) {
	for _, c := range []struct {
		name, script string
		view         M
		status       int
		want         string // an event, as KIND PLUGIN STATUS
		why          string
	}{
		{name: "reply", script: "reply 418 no", view: M{"record": true, "when": M{"sample": 1}}, status: 418, want: "reply p 418", why: "sample"},
		{name: "panic", script: "panic boom", view: M{"record": true, "when": M{"sample": 1}}, status: 500, want: "panic p 0", why: "sample"},
		{name: "slow", script: "go; sleep 40ms; reply 200 late", view: M{"slow": "30ms"}, status: 200, want: "reply p 200", why: "slow"},
	} {
		b.Run(c.name, func() {
			ln := b.Listen(Listen{Chain: debugChain(c.view, Probe("o"), Probe("p", "request_headers", c.script))})
			id := "debug-" + client.NewID()
			r := ln.Do(client.Request{Header: []string{"x-request-id", id}})
			Equal(b, "status", r.Status, c.status)
			rec := b.record(id)
			Equal(b, "why", rec.Why, c.why)
			var events []string
			for _, e := range rec.Events {
				events = append(events, fmt.Sprint(e.Kind, " ", e.Plugin, " ", e.Status))
			}
			if !slices.Contains(events, c.want) {
				b.Errorf("events: got %q, want %q", events, c.want)
			}
			Equal(b, "server-timing", len(timings(r)), 0)
		})
	}
}
