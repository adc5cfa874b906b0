package core

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// named returns a name that no other run of a test has, as totals are the process's.
func named(t *testing.T) string {
	return fmt.Sprintf("moe.%s%d", strings.ReplaceAll(t.Name(), "/", "."), time.Now().UnixNano())
}

// total returns the family of a name in the totals, as text.
func total(name string) (lines []string) {
	for _, f := range Totals() {
		if f.Name == name {
			for _, s := range f.Series {
				lines = append(lines, strings.TrimSpace(fmt.Sprint(f.Kind, " ", s.Values, " ", s.Sum(), " ", s.Buckets())))
			}
		}
	}
	return lines
}

// What is recorded is in the totals whatever hosts flush, and of two instances together.
func TestTotals(t *testing.T) {
	name := named(t)
	for range 2 {
		m := &Metric{Name: name, Tags: []string{"kind"}}
		m.Cell([]string{"a"}).Add(3)
		m.Add(1, []string{"b"})
		m.Flush(func(Sample) {})
		m.Cell([]string{"a"}).Add(1)
		if got := m.Sum(); got != 5 {
			t.Errorf("the sum is %d, want 5", got)
		}
	}
	if diff := cmp.Diff([]string{"counter [a] 8 []", "counter [b] 2 []"}, total(name)); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
}

// A metric that is there with another kind or other tags is counted by its host, and not in the totals.
func TestConflict(t *testing.T) {
	for what, other := range map[string]*Metric{
		"another tag": {Tags: []string{"other"}}, "no tag": {}, "another kind": {Kind: Gauge, Tags: []string{"kind"}},
	} {
		t.Run(what, func(t *testing.T) {
			name := named(t)
			first := &Metric{Name: name, Tags: []string{"kind"}}
			first.Add(1, []string{"a"})
			before := droppedTotals.Sum()
			other.Name = name
			other.Add(5, slices.Repeat([]string{"x"}, len(other.Tags)))
			if got := droppedTotals.Sum() - before; got != 1 {
				t.Errorf("moe.metrics.dropped has grown by %d, want 1", got)
			}
			if diff := cmp.Diff([]string{"counter [a] 1 []"}, total(name)); diff != "" {
				t.Errorf("totals (-want +got):\n%s", diff)
			}
			var flushed int64
			other.Flush(func(s Sample) { flushed += s.N })
			if flushed != 5 {
				t.Errorf("the host gets %d, want 5", flushed)
			}
		})
	}
}

// Values beyond the bound are counted together.
func TestCellsAreBounded(t *testing.T) {
	m := &Metric{Name: named(t), Tags: []string{"from", "to"}}
	for i := range maxCells + 10 {
		m.Cell([]string{fmt.Sprint(i), strings.Repeat("x", 1000)}).Add(1)
	}
	got := map[string]int64{}
	m.Flush(func(s Sample) { got[s.Values[0]] += s.N })
	if n := len(got); n != maxCells+1 {
		t.Errorf("%d values were flushed, want %d", n, maxCells+1)
	}
	if n := got[OtherValues]; n != 10 {
		t.Errorf("%d are counted as others, want 10", n)
	}
	for _, f := range Totals() {
		if f.Name != m.Name {
			continue
		}
		for _, s := range f.Series {
			if len(s.Values[1]) > maxValue {
				t.Fatalf("a value has %d bytes, want %d at most", len(s.Values[1]), maxValue)
			}
		}
	}
}

// Hosts get buckets as counters, each change once.
func TestBuckets(t *testing.T) {
	d := &Definition{Name: named(t), Kind: Histogram, Tags: []string{"kind"}, Bounds: []int64{10, 100}}
	b := NewBuckets(d)
	c := b.Cell("a")
	flush := func() (all []string) {
		for _, m := range b.Metrics() {
			m.Flush(func(s Sample) { all = append(all, fmt.Sprint(strings.TrimPrefix(m.Name, d.Name), s.Values, s.N)) })
		}
		return all
	}
	for _, v := range []int64{10, 11, 1000} {
		c.Record(v)
	}
	if diff := cmp.Diff([]string{"_bucket[a 10] 1", "_bucket[a 100] 2", "_bucket[a +Inf] 3", "_sum[a] 1021", "_count[a] 3"}, flush()); diff != "" {
		t.Errorf("the first flush (-want +got):\n%s", diff)
	}
	c.Record(50)
	if diff := cmp.Diff([]string{"_bucket[a 100] 1", "_bucket[a +Inf] 1", "_sum[a] 50", "_count[a] 1"}, flush()); diff != "" {
		t.Errorf("the second flush (-want +got):\n%s", diff)
	}
	if got := flush(); got != nil {
		t.Errorf("the third flush hands over %v, want nothing", got)
	}
	if diff := cmp.Diff([]string{"histogram [a] 1071 [1 2 1]"}, total(d.Name)); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]string{{"a", "+Inf"}, {"a", "10"}, {"a", "100"}}, b.Metrics()[0].Cells()); diff != "" {
		t.Errorf("cells that are known ahead (-want +got):\n%s", diff)
	}
}

// Whoever records and flushes at the same time, nothing is lost and nothing is handed over twice.
func TestFlushAndAdd(t *testing.T) {
	m := &Metric{Name: named(t), Tags: []string{"kind"}}
	b := NewBuckets(&Definition{Name: named(t) + "b", Kind: Histogram, Tags: []string{"kind"}, Bounds: []int64{1}})
	cell := b.Cell("a")
	var (
		adders, flushers sync.WaitGroup
		mu               sync.Mutex
		got, counts      int64
	)
	flush := func() {
		m.Flush(func(s Sample) { mu.Lock(); got += s.N; mu.Unlock() })
		b.Metrics()[2].Flush(func(s Sample) { mu.Lock(); counts += s.N; mu.Unlock() })
	}
	stop := make(chan struct{})
	for range 4 {
		adders.Go(func() {
			for i := range 1000 {
				m.Cell([]string{fmt.Sprint(i % 3)}).Add(1)
				cell.Record(int64(i))
			}
		})
		flushers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					flush()
				}
			}
		})
	}
	adders.Wait()
	close(stop)
	flushers.Wait()
	flush()
	if got != 4000 || counts != 4000 || m.Sum() != 4000 {
		t.Errorf("flushed %d and %d, and a sum of %d, want 4000 each", got, counts, m.Sum())
	}
}

// Lazy metrics are handed over sooner where nothing is under way.
func TestPace(t *testing.T) {
	for _, c := range []struct {
		name string
		ago  time.Duration
		idle bool
		want bool
	}{
		{name: "never yet", ago: time.Hour, want: true},
		{name: "busy, long ago", ago: busyPace + time.Millisecond, want: true},
		{name: "busy, just now", ago: idlePace + time.Millisecond},
		{name: "idle, a while ago", ago: idlePace + time.Millisecond, idle: true, want: true},
		{name: "idle, just now", ago: 0, idle: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p Pace
			p.last.Store(time.Now().Add(-c.ago).UnixNano())
			if got := p.Due(c.idle); got != c.want {
				t.Errorf("Due(%v) %v after the last = %v, want %v", c.idle, c.ago, got, c.want)
			}
			if p.Due(c.idle) {
				t.Error("due again at once")
			}
		})
	}
}
