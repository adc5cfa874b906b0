package mosn_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"mosn.io/api"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/framework/mosn"
)

// TestNeverBlocks runs the tests of what filters do once more, with filters that are declared not to block: they run on
// the stream's thread, and nothing else may differ.
func TestNeverBlocks(t *testing.T) {
	neverBlock = true
	t.Cleanup(func() { neverBlock = false })
	for name, test := range map[string]func(*testing.T){
		"access log": TestAccessLog, "bodies": TestBodies, "body setting": TestBodySetting, "first line": TestFirstLine,
		"headers": TestHeaders, "headers of another goroutine": TestHeadersFromAnotherGoroutine, "no query": TestNoQuery,
		"panics": TestPanics, "phases": TestPhases, "replies": TestReplies, "replies after continue": TestRepliesAfterContinue,
		"reply headers": TestReplyHeaders, "request info": TestRequestInfo, "response changes": TestResponseChanges,
		"router metadata": TestRouterMetadata, "statuses": TestStatuses, "terminate later": TestTerminateLater,
		"too late": TestTooLate, "trailers": TestTrailers, "unsupported": TestUnsupported,
	} {
		t.Run(name, test)
	}
}

// goroutine returns the number of the caller's goroutine.
func goroutine() string {
	var buf [64]byte
	return strings.Fields(string(buf[:runtime.Stack(buf[:], false)]))[1]
}

// where runs on the stream's thread, and notes on which goroutine.
type where struct {
	Unused string `json:"unused"`
}

var phaseRanOn string

func init() { filter.Register[where]("where", filter.Observe) }

func (*where) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	phaseRanOn = goroutine()
	return filter.Continue
}

// listOf is a list of filters, each with what its entry says of blocking: true, false or nothing.
func listOf(t *testing.T, entries ...[2]string) filtertest.Config {
	t.Helper()
	list := make([]map[string]any, len(entries))
	for i, e := range entries {
		list[i] = map[string]any{"type": e[0]}
		if e[1] != "" {
			list[i]["blocking"] = e[1] == "true"
		}
	}
	text, err := json.Marshal(map[string]any{"stream_filters": list})
	if err != nil {
		t.Fatalf("cannot write the configuration: %v", err)
	}
	return filtertest.Config{Name: "mosn", JSON: string(text)}
}

// TestWhere has a list run on the stream's thread where none of its filters may block.
func TestWhere(t *testing.T) {
	var ranOn string
	s := receives(func(*call) { ranOn = goroutine() })
	undeclared, declared := typeOf(s), typeOf(s)
	mosn.Declare(declared, mosn.Declaration{NeverBlocks: true})
	cases := map[string]struct {
		list     [][2]string
		onThread bool
	}{
		"nothing is known":         {list: [][2]string{{undeclared, ""}}},
		"declared":                 {list: [][2]string{{declared, ""}}, onThread: true},
		"configured":               {list: [][2]string{{undeclared, "false"}}, onThread: true},
		"configured to block":      {list: [][2]string{{declared, "true"}}},
		"one of two may block":     {list: [][2]string{{declared, ""}, {undeclared, ""}}},
		"neither of two may block": {list: [][2]string{{declared, ""}, {undeclared, "false"}}, onThread: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := filtertest.New(t, listOf(t, c.list...), &where{})
			if r := h.Get("/"); r.Status != 200 {
				t.Fatalf("status %d, want 200", r.Status)
			}
			if got := ranOn == phaseRanOn; got != c.onThread {
				t.Errorf("the filter ran on the stream's thread: %t, want %t", got, c.onThread)
			}
		})
	}
}

// TestKeepsTheThread has a filter that is declared not to block wait all the same, time and again. It is reported, and runs
// on goroutines from then on, where the chain's time-out bounds it; another configuration of the same list does not.
func TestKeepsTheThread(t *testing.T) {
	waits := script{onReceive: func(*call) api.StreamFilterStatus {
		time.Sleep(250 * time.Millisecond)
		return api.StreamFilterContinue
	}}
	typ := typeOf(waits)
	mosn.Declare(typ, mosn.Declaration{NeverBlocks: true})
	h := &filtertest.Host{AllowsBugs: true, Timeout: 50 * time.Millisecond}
	if err := h.Load(t, listOf(t, [2]string{typ, ""})); err != nil {
		t.Fatalf("cannot load the configuration: %v", err)
	}
	other := &filtertest.Host{AllowsBugs: true, Timeout: 50 * time.Millisecond}
	conf := listOf(t, [2]string{typ, ""})
	conf.JSON = strings.TrimSuffix(conf.JSON, "}") + `, "per_filter_config": {"of": "another"}}`
	if err := other.Load(t, conf); err != nil {
		t.Fatalf("cannot load the other configuration: %v", err)
	}
	var got []int
	for range 5 {
		got = append(got, h.Get("/").Status)
	}
	if want := "[200 200 200 504 504]"; fmt.Sprint(got) != want {
		t.Errorf("statuses %v, want %s: the first three on the thread, the others bounded", got, want)
	}
	if r := other.Get("/"); r.Status != 200 {
		t.Errorf("status %d of another configuration, want 200 from the thread", r.Status)
	}
	if n := h.Metric("slow_calls", typ); n != 3 {
		t.Errorf("slow_calls{%s} = %d, want 3", typ, n)
	}
	if n := strings.Count(h.Log(), "kept Envoy's thread"); n != 1 || !strings.Contains(h.Log(), typ) {
		t.Errorf("the log tells of the filter %d times, want once, with its type %s: %s", n, typ, h.Log())
	}
}

// TestContextOnThread has the context of a filter that ran on the thread end with its stream, though nobody asked before.
func TestContextOnThread(t *testing.T) {
	neverBlock = true
	t.Cleanup(func() { neverBlock = false })
	var kept context.Context
	h := host(t, receives(func(c *call) { kept = c.ctx }))
	h.Get("/")
	select {
	case <-kept.Done():
	default:
		t.Error("the context goes on after its stream")
	}
	if kept.Err() == nil {
		t.Error("the context says no error after its stream")
	}
}
