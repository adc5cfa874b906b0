package ui

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"mosn.io/moe/framework/debugview"
)

// Bounds of what a Store remembers.
const (
	maxRequests  = 100     // of each kind
	maxBytes     = 4 << 20 // of the requests of a kind, about
	maxRows      = 512     // routes, and plugins of routes
	maxLatencies = 256     // the latest of a row
	rateSeconds  = 60      // that rates are of
)

// Kinds of requests that are remembered apart, so that many of one do not push out those of another.
const (
	All      = "all"
	Slow     = "slow"
	Refused  = "refused"
	Panicked = "panicked"
)

// Kinds lists them in the order of the page.
var Kinds = []string{All, Slow, Refused, Panicked}

// Request is a record with the number that it is found by.
type Request struct {
	Number uint64 // from 1, in the order in which requests ended
	*debugview.Record

	size int
}

// Store remembers the latest requests, and counts all of them. Its methods may be called from any goroutine.
type Store struct {
	slow float64 // milliseconds of its plugins from which on a request is slow
	now  func() time.Time

	mu     sync.Mutex
	began  time.Time
	last   time.Time // when a request was added
	number uint64
	latest map[string]*latest // by kind
	rows   map[rowKey]*counts
}

// latest are the requests of a kind, the oldest first.
type latest struct {
	requests []Request
	bytes    int
}

// rowKey names a route, or with a plugin's id the plugin in that route.
type rowKey struct{ route, plugin string }

// counts are what is known of a row.
type counts struct {
	n, errors, refused int
	seconds            [rateSeconds]second
	took               []float64 // milliseconds of the latest, as a ring
	next               int
}

type second struct {
	unix int64
	n    int
}

// NewStore returns a Store to which requests are slow whose plugins have taken as long together.
func NewStore(slow time.Duration) *Store {
	s := &Store{
		slow: float64(slow) / float64(time.Millisecond), now: time.Now,
		latest: map[string]*latest{}, rows: map[rowKey]*counts{},
	}
	s.began = s.now()
	for _, kind := range Kinds {
		s.latest[kind] = &latest{}
	}
	return s
}

// Add takes a record, which must not change any more.
func (s *Store) Add(r *debugview.Record) {
	refused, failed := map[string]bool{}, map[string]bool{} // plugins
	var panicked bool
	for _, e := range r.Events {
		switch {
		case e.Kind == "panic":
			panicked = true
			failed[e.Plugin] = true
		case e.Kind == "timeout":
			failed[e.Plugin] = true
		case e.Kind == "reply" && e.Status >= 500:
			failed[e.Plugin] = true
			refused[e.Plugin] = true
		case e.Kind == "reply" && e.Status >= 400:
			refused[e.Plugin] = true
		}
	}
	took := map[string]float64{}
	for i := range r.Steps {
		took[r.Steps[i].Plugin] += r.Steps[i].Took
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = s.now()
	s.number++
	q := Request{Number: s.number, Record: r, size: size(r)}
	s.latest[All].add(q)
	if s.slow > 0 && r.Plugins >= s.slow {
		s.latest[Slow].add(q)
	}
	if len(refused) > 0 {
		s.latest[Refused].add(q)
	}
	if panicked {
		s.latest[Panicked].add(q)
	}
	at := s.last.Unix()
	s.row(r.Route, "").add(at, r.Total, r.Status == 0 || r.Status >= 500, len(refused) > 0)
	for plugin, ms := range took {
		s.row(r.Route, plugin).add(at, ms, failed[plugin], refused[plugin])
	}
}

// add appends q, and drops the oldest that are too many.
func (l *latest) add(q Request) {
	l.requests = append(l.requests, q)
	l.bytes += q.size
	drop := 0
	for len(l.requests)-drop > maxRequests || l.bytes > maxBytes && len(l.requests)-drop > 1 {
		l.bytes -= l.requests[drop].size
		drop++
	}
	l.requests = slices.Delete(l.requests, 0, drop)
}

// size is about how many bytes of memory a record takes.
func size(r *debugview.Record) int {
	n := 256 + len(r.RequestID) + len(r.TraceID) + len(r.Route) + len(r.Method) + len(r.Host) + len(r.Path)
	for i := range r.Steps {
		p := &r.Steps[i]
		n += 112 + len(p.Plugin) + len(p.Phase)
		for _, c := range p.Changed {
			n += 32 + len(c.Name)
		}
	}
	for i := range r.Events {
		e := &r.Events[i]
		n += 112 + len(e.Kind) + len(e.Plugin) + len(e.Wait) + len(e.Details)
	}
	return n
}

// Others is the route of what there is no room for.
const Others = "(others)"

func (s *Store) row(route, plugin string) *counts {
	key := rowKey{route, plugin}
	c := s.rows[key]
	if c == nil && len(s.rows) >= maxRows {
		key = rowKey{Others, ""}
		c = s.rows[key]
	}
	if c == nil {
		c = &counts{}
		s.rows[key] = c
	}
	return c
}

func (c *counts) add(unix int64, ms float64, failed, refused bool) {
	c.n++
	if failed {
		c.errors++
	}
	if refused {
		c.refused++
	}
	b := &c.seconds[unix%rateSeconds]
	if b.unix != unix {
		*b = second{unix: unix}
	}
	b.n++
	if len(c.took) < maxLatencies {
		c.took = append(c.took, ms)
		return
	}
	c.took[c.next] = ms
	c.next = (c.next + 1) % maxLatencies
}

// Latest returns the latest requests of a kind, the newest first.
func (s *Store) Latest(kind string) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.latest[kind]
	if l == nil {
		return nil
	}
	list := slices.Clone(l.requests)
	slices.Reverse(list)
	return list
}

// Find returns the request of a number, if it is remembered still.
func (s *Store) Find(number uint64) (Request, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, kind := range Kinds {
		for _, q := range s.latest[kind].requests {
			if q.Number == number {
				return q, true
			}
		}
	}
	return Request{}, false
}

// Row is what is known of a route, or of a plugin in a route.
type Row struct {
	Route, Plugin string
	Requests      int // since the store was made
	Errors        int // of a route: without a response or with 5xx; of a plugin: panics, time-outs and replies with 5xx
	Refused       int // answered by a plugin with 4xx or 5xx
	PerSecond     float64
	Series        []int   // requests in each of the last seconds, the oldest first
	Median, P95   float64 // milliseconds, of the latest requests
}

// Rows returns all rows by route and plugin; that of the route itself, without a plugin, comes first.
func (s *Store) Rows() []Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	passed := min(max(now.Sub(s.began).Seconds(), 1), rateSeconds)
	all := make([]Row, 0, len(s.rows))
	for key, c := range s.rows {
		row := Row{Route: key.route, Plugin: key.plugin, Requests: c.n, Errors: c.errors, Refused: c.refused}
		for i := int64(rateSeconds) - 1; i >= 0; i-- {
			n, unix := 0, now.Unix()-i
			if b := c.seconds[unix%rateSeconds]; b.unix == unix {
				n = b.n
			}
			row.Series = append(row.Series, n)
			row.PerSecond += float64(n) / passed
		}
		took := slices.Sorted(slices.Values(c.took))
		row.Median, row.P95 = took[(len(took)-1)/2], took[(len(took)-1)*95/100]
		all = append(all, row)
	}
	slices.SortFunc(all, func(a, b Row) int { return cmp.Or(cmp.Compare(a.Route, b.Route), cmp.Compare(a.Plugin, b.Plugin)) })
	return all
}

// version changes when what the store shows does: with each request, and each second while rates are not 0.
func (s *Store) version() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.number == 0 || now.Sub(s.last) > (rateSeconds+1)*time.Second {
		return s.number
	}
	return s.number + uint64(now.Unix())<<20
}
