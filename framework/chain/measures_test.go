package chain_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// measured returns what the process has counted of a plugin or a chain: series whose first value is that, with a count in
// place of the values of histograms.
func measured(of string) map[string]int64 {
	got := map[string]int64{}
	for _, f := range core.Totals() {
		for _, s := range f.Series {
			if len(s.Values) == 0 || s.Values[0] != of {
				continue
			}
			n := s.Sum()
			if f.Kind == core.Histogram {
				n = 0
				for _, b := range s.Buckets() {
					n += b
				}
			}
			if n != 0 {
				got[strings.Join(append([]string{f.Name}, s.Values[1:]...), " ")] = n
			}
		}
	}
	return got
}

// unique returns a name that no other run of a test has.
func unique(t *testing.T) string { return fmt.Sprint(t.Name(), time.Now().UnixNano()) }

// What a plugin does in its phases is counted, whatever becomes of it, and nothing stays under way.
func TestMeasures(t *testing.T) {
	for _, c := range []struct {
		name string
		p    probe
		want map[string]int64
	}{
		{"it goes on", probe{reqH: func(filter.Stream, filter.Headers, bool) filter.Action { return filter.Continue }}, nil},
		{"a reply", probe{reqH: func(filter.Stream, filter.Headers, bool) filter.Action { return filter.Reply(403, "no") }}, map[string]int64{
			"moe.replies": 1, "moe.phase.replies OnRequestHeaders 4xx": 1,
		}},
		{"an error", probe{reqH: func(filter.Stream, filter.Headers, bool) filter.Action { return filter.Fail(errors.New("x")) }}, map[string]int64{
			"moe.replies": 1, "moe.phase.replies OnRequestHeaders 5xx": 1, "moe.phase.errors OnRequestHeaders error": 1,
		}},
		{"a panic", probe{reqH: func(filter.Stream, filter.Headers, bool) filter.Action { panic("x") }}, map[string]int64{
			"moe.panics": 1, "moe.phase.errors OnRequestHeaders panic": 1,
		}},
		{"a wait", probe{reqH: func(filter.Stream, filter.Headers, bool) filter.Action {
			return filter.Go(func(context.Context) filter.Action { return filter.Continue })
		}}, map[string]int64{"moe.phase.wait_us OnRequestHeaders go": 1}},
		{"a time-out", probe{reqH: func(filter.Stream, filter.Headers, bool) filter.Action {
			return filter.Go(func(ctx context.Context) filter.Action {
				<-ctx.Done()
				return filter.Continue
			})
		}}, map[string]int64{
			"moe.timeouts": 1, "moe.phase.errors OnRequestHeaders timeout": 1, "moe.phase.wait_us OnRequestHeaders go": 1,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := unique(t)
			meter := chain.NewMeter()
			meter.Name = name + "-chain"
			reg := filter.Lookup("probe")
			ch := chain.New([]chain.Plugin{{Name: name, Reg: reg, Config: &c.p}},
				chain.Options{Measure: true, Meter: meter, Timeout: 20 * time.Millisecond})
			m := mailbox{c: make(chan func(), 4)}
			st := ch.Start(dead{}, m)
			if ch.Idle() {
				t.Error("the chain is idle, want one stream under way")
			}
			fill(st)
			st.Headers(chain.Request, true)
			if slices.Contains([]string{"a wait", "a time-out"}, c.name) {
				(<-m.c)()
			}
			st.Headers(chain.Response, true)
			st.Done()
			want := map[string]int64{"moe.phase.calls OnRequestHeaders": 1, "moe.phase.duration_us OnRequestHeaders": 1}
			got := measured(name)
			for what, n := range c.want {
				want[what] = n
			}
			for what := range got { // other phases of probe, which end as they begin
				if _, ok := want[what]; !ok && (strings.HasPrefix(what, "moe.phase.calls") || strings.HasPrefix(what, "moe.phase.duration_us")) {
					delete(got, what)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("counted (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]int64{"moe.streams.begun": 1}, measured(name+"-chain")); diff != "" {
				t.Errorf("counted of the chain (-want +got):\n%s", diff)
			}
			if !ch.Idle() {
				t.Error("the chain is not idle, want no stream under way")
			}
		})
	}
}

// To measure costs no memory.
func TestMeasuresAllocateNothing(t *testing.T) {
	meter := chain.NewMeter()
	meter.Name = unique(t)
	c := chain.New(plugins(2, func() *rw { return new(rw) }), chain.Options{Measure: true, Meter: meter})
	one := func() {
		st := c.Start(dead{}, dead{})
		fill(st)
		st.Headers(chain.Request, true)
		st.Headers(chain.Response, true)
		st.Done()
	}
	one()
	if n := testing.AllocsPerRun(1000, one); n != 0 && !raceEnabled { // the race detector allocates
		t.Errorf("a request that is measured allocates %.1f times, want 0", n)
	}
}

// BenchmarkMeasured is Read1Set2x1, measured.
func BenchmarkMeasured(b *testing.B) {
	c := chain.New(plugins(1, func() *rw { return new(rw) }), chain.Options{Measure: true})
	b.ReportAllocs()
	for b.Loop() {
		st := c.Start(dead{}, dead{})
		fill(st)
		st.Headers(chain.Request, true)
		st.Headers(chain.Response, true)
		st.Done()
	}
}
