package timeline_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/debugview"
	"mosn.io/moe/internal/timeline"
)

func record() *debugview.Record {
	return &debugview.Record{
		Why: "sample", RequestID: "id-1", Time: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.Local), Route: "api", Method: "GET",
		Host: "example.com", Path: "/orders", Status: 403, Total: 20, Plugins: 12.5,
		Steps: []debugview.Step{
			{
				Plugin: "keyauth", Phase: "OnRequestHeaders", At: 0.01, Took: 0.012,
				Changed: []debugview.Change{
					{Name: "x-consumer", Before: -1, After: 5}, {Name: "cookie", Before: 9, After: -1}, {Name: "via", Before: 1, After: 2},
				},
			},
			{Plugin: "extauth", Phase: "OnRequestHeaders", At: 5, Took: 10, Waited: 9.5},
			{Plugin: "waf", Phase: "OnRequestBody", At: 16, Took: 1, Calls: 3, Cut: true},
		},
		Events: []debugview.Event{
			{At: 4, Kind: "wait", Wait: "consumer", Took: 3}, {At: 19, Kind: "reply", Plugin: "waf", Status: 403, Own: true, Details: "moe.waf"},
		},
		Dropped: 2,
	}
}

const drawn = `03:04:05.006 GET /orders example.com → 403  20.0 ms, plugins 12.5 ms  route api  id-1
  keyauth OnRequestHeaders   █······················· 0.012 ms  +x-consumer(5)  -cookie  via(1→2)
  • the chain waited 3.00 ms for consumer
  extauth OnRequestHeaders   ······████████████······ 10.0 ms, waited 9.50 ms
  waf     OnRequestBody      ···················█···· 1.00 ms, 3 times, cut short
  • waf replies 403  moe.waf
  and 2 more
`

func TestPrint(t *testing.T) {
	var b bytes.Buffer
	(&timeline.Printer{W: &b}).Print(record())
	if diff := cmp.Diff(drawn, b.String()); diff != "" {
		t.Errorf("Print (-want +got):\n%s", diff)
	}
	b.Reset()
	(&timeline.Printer{W: &b, Colours: true}).Print(record())
	plain := b.String()
	for _, escape := range []string{"\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"} {
		plain = strings.ReplaceAll(plain, escape, "")
	}
	if diff := cmp.Diff(drawn, plain); diff != "" || plain == b.String() {
		t.Errorf("Print with colours differs in more than colours, or has none (-want +got):\n%s", diff)
	}
}

// A client chooses the path and the host; a plugin, what it says.
func TestPrintIsSafe(t *testing.T) {
	r := record()
	const evil = "\x1b]0;title\x07\x1b[2J\r\n\u202e\x9b31m"
	r.Path, r.Host, r.Method, r.Route, r.RequestID = "/"+evil, evil, evil, evil, evil
	for i := range r.Steps {
		r.Steps[i].Plugin, r.Steps[i].Phase = evil+evil+evil, evil
		for j := range r.Steps[i].Changed {
			r.Steps[i].Changed[j].Name = evil
		}
	}
	for _, kind := range []string{"reply", "panic", "timeout", "reset", "wait", evil} {
		r.Events = append(r.Events, debugview.Event{Kind: kind, Plugin: evil, Details: evil, Wait: evil})
	}
	var b bytes.Buffer
	(&timeline.Printer{W: &b}).Print(r)
	if at := strings.IndexAny(strings.ReplaceAll(b.String(), "\n", ""), "\x1b\x07\r\u202e\u009b"); at >= 0 {
		t.Errorf("Print lets a control character through: %q", b.String())
	}
	if got, want := strings.Count(b.String(), "\n"), 1+3+2+6+1; got != want {
		t.Errorf("Print writes %d lines, want %d:\n%s", got, want, b.String())
	}
}

func TestParse(t *testing.T) {
	text, err := json.Marshal(record())
	if err != nil {
		t.Fatalf("json.Marshal: %v", err)
	}
	for _, c := range []struct {
		name, line string
		want       bool
	}{
		{name: "a record", line: "[2026-01-02][12][info][dynamic_modules] msg=request record=" + string(text) + "\n", want: true},
		{name: "a slow request", line: "[warning] msg=\"slow request\" record=" + string(text), want: true},
		{name: "another line", line: "[info] msg=hello"},
		{name: "half a record", line: "msg=request record=" + string(text[:len(text)/2])},
		{name: "something else of that name", line: "msg=x record={}"},
		{name: "no object", line: "msg=x record=12"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := timeline.Parse([]byte(c.line))
			if ok != c.want {
				t.Fatalf("Parse: got %t, want %t", ok, c.want)
			}
			if !ok {
				return
			}
			want := record()
			want.Time, got.Time = time.Time{}, time.Time{}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFilter(t *testing.T) {
	for _, c := range []struct {
		name   string
		filter timeline.Filter
		want   bool
	}{
		{name: "none", want: true},
		{name: "a path", filter: timeline.Filter{Path: "/ord"}, want: true},
		{name: "another path", filter: timeline.Filter{Path: "/x"}},
		{name: "a plugin", filter: timeline.Filter{Plugin: "waf"}, want: true},
		{name: "another plugin", filter: timeline.Filter{Plugin: "wa"}},
		{name: "a path and another plugin", filter: timeline.Filter{Path: "/ord", Plugin: "cors"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.filter.Takes(record()); got != c.want {
				t.Errorf("Takes: got %t, want %t", got, c.want)
			}
		})
	}
}
