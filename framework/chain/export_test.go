package chain

import "fmt"

// SetMaxUnflushed lets tests fill pipes with few bytes.
func SetMaxUnflushed(n int) (restore func()) {
	old := maxUnflushed
	maxUnflushed = n
	return func() { maxUnflushed = old }
}

// VerifyStreams has every step of every stream checked; what is wrong goes to bug. No stream may run meanwhile, nor when
// restore is called.
func VerifyStreams(bug func(string)) (restore func()) {
	verify = func(st *Stream, d *direction, from stage) {
		if d == nil {
			for i := range st.d {
				for _, what := range st.d[i].leftovers() {
					bug(fmt.Sprintf("a stream that is over leaves %s in direction %d", what, i))
				}
			}
			for _, what := range st.observed.leftovers() {
				bug("a stream that is over leaves the observer " + what)
			}
			return
		}
		for _, what := range st.contradictions(d, from) {
			bug(fmt.Sprintf("direction %d, step from stage %d to %d: %s (%+v)", d.dir, from, d.stage, what, *d))
		}
	}
	return func() { verify = nil }
}

// legalSteps has a bit for each stage to which a step from a stage may lead.
var legalSteps = [...]uint{
	idle:       1<<idle | 1<<atHeaders | 1<<atBody | 1<<atTrailers | 1<<dead,
	atHeaders:  1<<idle | 1<<atHeaders | 1<<atBody | 1<<atTrailers | 1<<atWhole | 1<<dead,
	atBody:     1<<idle | 1<<atHeaders | 1<<atBody | 1<<atTrailers | 1<<atWhole | 1<<dead,
	atTrailers: 1<<idle | 1<<atHeaders | 1<<atBody | 1<<atTrailers | 1<<atWhole | 1<<dead,
	atWhole:    1<<idle | 1<<atHeaders | 1<<atBody | 1<<atTrailers | 1<<atWhole | 1<<dead,
	dead:       1 << dead,
}

// replySteps are those that only a reply makes: back to the headers.
var replySteps = map[stage]bool{atBody: true, atTrailers: true}

// contradictions returns what must not be true of a direction after a step from a stage.
func (st *Stream) contradictions(d *direction, from stage) (all []string) {
	must := func(ok bool, what string) {
		if !ok {
			all = append(all, what)
		}
	}
	f, h := &d.flight, &d.held
	must(legalSteps[from]&(1<<d.stage) != 0, "no such step")
	must(!replySteps[from] || d.stage != atHeaders || st.Replied, "back to the headers without a reply")
	must(d.stage != dead || d.dir == Request && st.Replied, "dead without a reply, or a dead response")
	must(!st.Steady() || st.Wants() == st.home.Wants() && !st.Busy(Request) && !st.Busy(Response) &&
		st.Constants(Request) == nil && st.Constants(Response) == nil, "steady, and not as the chain")
	must(d.used || f.chunk == nil && !f.hasChunk && !f.trailers && !h.holds && h.body == nil && d.length == length{} && len(d.pipes.all) == 0 && d.queue.empty() &&
		d.reader == nil && !d.suspended, "state beyond the headers, and not used")
	if st.over || d.stage == dead {
		return all
	}
	must(d.at >= 0 && d.at <= d.n && d.first >= 0 && d.first <= d.n, "a position beyond the plugins")
	must(d.stage != atBody || f.hasChunk || d.suspended || d.at == d.n, "at body without a chunk")
	must(d.stage != atTrailers || f.trailers, "at trailers without any")
	must(d.stage != atWhole || h.holds && d.at == h.by, "at whole, and its plugin does not hold")
	must(d.stage != idle || !f.hasChunk, "idle with a chunk in flight")
	must(!h.holds || !d.sent, "headers are held that have left")
	must(!h.holds || h.by < d.n, "nobody holds")
	must(h.holds || len(h.body) == 0 && !h.whole, "a body is held without headers")
	must(!d.headersEnd || !f.trailers, "trailers behind headers that end the stream")
	for _, p := range d.pipes.fed {
		must(d.pipes.at(p.at) == p, "a pipe is fed that does not run")
	}
	must(d.reader == nil || st.Replied && d.dir == Response, "a reader without a reply")
	return all
}

// leftovers returns what a direction still has that must be gone when its stream is over.
func (d *direction) leftovers() (all []string) {
	must := func(ok bool, what string) {
		if !ok {
			all = append(all, what)
		}
	}
	must(d.course == course{}, "its course")
	must(!d.used, "used")
	must(d.flight.chunk == nil && !d.flight.hasChunk && !d.flight.trailers && !d.flight.end, "something in flight")
	must(!d.held.holds && d.held.body == nil && !d.held.whole && d.held.prefix == 0 && d.held.limit == 0, "something held")
	must(d.length == length{}, "its accounts of length")
	must(d.pipes.all == nil && d.pipes.fed == nil, "pipes")
	must(d.reader == nil, "a reader")
	must(d.queue.empty() && len(d.queue.events) == 0, "events")
	for _, e := range d.queue.events[:cap(d.queue.events)] {
		must(e.chunk == nil, "a chunk in the memory of its queue")
	}
	return all
}

// leftovers returns what is still remembered for an observer that must be gone when the stream is over.
func (o *observed) leftovers() (all []string) {
	if o == nil {
		return nil
	}
	if o.headers {
		all = append(all, "its interest in headers")
	}
	for dir := range o.d {
		d := &o.d[dir]
		if !d.began.IsZero() || !d.waits.IsZero() || !d.holding.IsZero() {
			all = append(all, fmt.Sprintf("a phase or a wait of direction %d", dir))
		}
		for _, f := range d.before[:cap(d.before)] {
			if f.Value != "" {
				all = append(all, "a header")
			}
		}
	}
	return all
}
