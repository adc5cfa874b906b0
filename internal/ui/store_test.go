package ui

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mosn.io/moe/framework/debugview"
)

// clockedStore is a store whose clock the test sets, beginning at a whole second.
func clockedStore(slow time.Duration) (s *Store, now *time.Time) {
	at := time.Unix(1_700_000_000, 0)
	s = NewStore(slow)
	s.now = func() time.Time { return at }
	s.began = at
	return s, &at
}

func numbers(list []Request) (all []uint64) {
	for _, q := range list {
		all = append(all, q.Number)
	}
	return all
}

// Each request is found under every kind that it is of.
func TestStoreKinds(t *testing.T) {
	s, _ := clockedStore(10 * time.Millisecond)
	reply := func(status int) []debugview.Event {
		return []debugview.Event{{Kind: "reply", Plugin: "a", Status: status}}
	}
	for _, r := range []*debugview.Record{
		{Status: 200, Plugins: 9.9},
		{Status: 200, Plugins: 10},
		{Status: 403, Events: reply(403)},
		{Status: 302, Events: reply(302)},
		{Status: 500, Plugins: 11, Events: append(reply(500), debugview.Event{Kind: "panic", Plugin: "a"})},
		{Status: 404},
	} {
		s.Add(r)
	}
	for kind, want := range map[string][]uint64{
		All: {6, 5, 4, 3, 2, 1}, Slow: {5, 2}, Refused: {5, 3}, Panicked: {5}, "unknown": nil,
	} {
		t.Run(kind, func(t *testing.T) {
			if diff := cmp.Diff(want, numbers(s.Latest(kind))); diff != "" {
				t.Errorf("Latest(%q) (-want +got):\n%s", kind, diff)
			}
		})
	}
	if q, ok := s.Find(3); !ok || q.Status != 403 {
		t.Errorf("Find(3): got %v, %v; want the one with status 403", q, ok)
	}
	if q, ok := s.Find(7); ok {
		t.Errorf("Find(7): got %v, want none", q)
	}
}

// However many and large requests are, few stay; and many of one kind do not push out those of another.
func TestStoreBounds(t *testing.T) {
	s, _ := clockedStore(time.Second)
	s.Add(&debugview.Record{Plugins: 2000})
	for i := range 10_000 {
		s.Add(&debugview.Record{Route: fmt.Sprint(i), Steps: []debugview.Step{{Plugin: fmt.Sprint(i)}}})
	}
	if n := len(s.Latest(All)); n != maxRequests {
		t.Errorf("requests of the kind all: got %d, want %d", n, maxRequests)
	}
	if n := len(s.Latest(Slow)); n != 1 {
		t.Errorf("slow requests: got %d, want the one", n)
	}
	if n := len(s.rows); n > maxRows+1 {
		t.Errorf("rows: got %d, want %d and one for others", n, maxRows)
	}
	total := 0
	for _, row := range s.Rows() {
		if row.Plugin == "" {
			total += row.Requests
		}
	}
	if total < 10_001 {
		t.Errorf("requests in rows: got %d, want all 10001", total)
	}
	text := strings.Repeat("x", 64<<10)
	for range 2 * maxRequests {
		s.Add(&debugview.Record{Path: text})
	}
	bytes := 0
	for _, q := range s.Latest(All) {
		bytes += len(q.Path)
	}
	if bytes == 0 || bytes > maxBytes {
		t.Errorf("large requests take %d bytes, want some and at most %d", bytes, maxBytes)
	}
	huge := strings.Repeat("x", maxBytes+1)
	s.Add(&debugview.Record{Path: huge})
	if list := s.Latest(All); len(list) != 1 || list[0].Path != huge {
		t.Errorf("after one that is larger than all may be: got %d requests, want that one", len(list))
	}
}

// Rates are of the last minute, and latencies of the latest requests.
func TestStoreRows(t *testing.T) {
	s, now := clockedStore(time.Second)
	steps := []debugview.Step{{Plugin: "a", Took: 1}, {Plugin: "b", Took: 4}, {Plugin: "a", Took: 2}}
	for range 30 {
		s.Add(&debugview.Record{Route: "r", Status: 200, Total: 10, Steps: steps})
	}
	*now = now.Add(2 * time.Second)
	s.Add(&debugview.Record{
		Route: "r", Status: 503, Total: 20, Steps: steps,
		Events: []debugview.Event{{Kind: "timeout", Plugin: "b"}, {Kind: "reply", Plugin: "a", Status: 403}},
	})
	want := []Row{
		{Route: "r", Requests: 31, Errors: 1, Refused: 1, PerSecond: 15.5, Median: 10, P95: 10},
		{Route: "r", Plugin: "a", Requests: 31, Refused: 1, PerSecond: 15.5, Median: 3, P95: 3},
		{Route: "r", Plugin: "b", Requests: 31, Errors: 1, PerSecond: 15.5, Median: 4, P95: 4},
	}
	rows := s.Rows()
	if diff := cmp.Diff(want, rows, cmpopts.IgnoreFields(Row{}, "Series"), cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Fatalf("Rows (-want +got):\n%s", diff)
	}
	series := rows[0].Series
	if len(series) != rateSeconds || series[rateSeconds-1] != 1 || series[rateSeconds-3] != 30 {
		t.Errorf("Series: got %v, want 30 and, two seconds later, 1 at its end", series)
	}
	*now = now.Add(rateSeconds * time.Second)
	if row := s.Rows()[0]; row.PerSecond != 0 || row.Requests != 31 {
		t.Errorf("a minute later: got %v a second and %d requests, want 0 and 31", row.PerSecond, row.Requests)
	}
}

// Those who wait for something new learn of requests, and of rates that fall.
func TestStoreVersion(t *testing.T) {
	s, now := clockedStore(time.Second)
	if a, b := s.version(), s.version(); a != b {
		t.Errorf("the version without a request: got %d and %d, want the same", a, b)
	}
	before := s.version()
	s.Add(&debugview.Record{})
	added := s.version()
	*now = now.Add(time.Second)
	later := s.version()
	if before == added || added == later {
		t.Errorf("versions before a request, after it and a second later: got %d, %d, %d; want three", before, added, later)
	}
	*now = now.Add(2 * rateSeconds * time.Second)
	still := s.version()
	*now = now.Add(time.Second)
	if got := s.version(); got != still {
		t.Errorf("the version when all rates are 0: got %d and then %d, want the same", still, got)
	}
}

// Requests come while pages are made.
func TestStoreAtOnce(t *testing.T) {
	s := NewStore(time.Millisecond)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 200 {
				s.Add(&debugview.Record{Route: fmt.Sprint(i % 3), Plugins: 2})
				s.Rows()
				s.Latest(Slow)
				s.Find(uint64(i))
			}
		})
	}
	wg.Wait()
	if q, ok := s.Find(800); !ok {
		t.Errorf("Find(800): got %v, %v; want the last one", q, ok)
	}
}
