package chain

import (
	"slices"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// Observer learns what happens to one stream, and by whom. Timings, metrics and traces are observers; see
// [Stream.Observer].
type Observer interface {
	// Observe is called on the stream's thread. It must not wait, and must not feed the stream. It may keep the
	// observation, except for Changed, which is valid until it returns.
	Observe(Observation)
}

// ObservationKind says what has happened.
type ObservationKind uint8

// The kinds of observations. Every PhaseBegins of a plugin is followed by one PhaseEnds, and a WaitBegins by one
// WaitEnds, in the same direction and before StreamEnds.
const (
	StreamBegins   ObservationKind = iota // the request's headers are here
	PhaseBegins                           // a plugin's method is about to be called
	PhaseEnds                             // the plugin has decided, or its phase was cut short; Took, Waited, Cut, Changed
	WaitBegins                            // the plugin makes its direction wait; Wait
	WaitEnds                              // Wait, Took
	PluginTimesOut                        // a plugin, or the body that it waits for, does not come in time; Wait
	PluginPanics                          // Details is the place
	PluginFails                           // an error of the plugin's has failed the request, or the body that it gives
	StreamReplies                         // the stream is answered in place of the upstream; Status, Details, Own
	StreamResets                          // the stream ends abruptly; Details is the reason
	StreamEnds                            // the last observation of a stream
)

// WaitKind says what a direction waits for.
type WaitKind uint8

// What a direction waits for, as far as observers learn of it.
const (
	WaitsForGo       WaitKind = 1 + iota // a function that the plugin gave to filter.Go
	WaitsForBody                         // the body that the plugin waits for, by filter.WaitBody or WaitPrefix
	WaitsForConsumer                     // the chain of the stream's consumer
)

// String returns the word for k in traces and records.
func (k WaitKind) String() string {
	return [...]string{"", WaitsForGo: "go", WaitsForBody: "body", WaitsForConsumer: "consumer"}[k]
}

// Observation is one thing that has happened to a stream. Which fields beside the first three are set depends on the kind.
type Observation struct {
	Kind   ObservationKind
	Plugin string      // the id of the plugin that it is about; "" where it is about none
	Phase  phase.Phase // that is in flight; phase.Count outside of any

	Wait   WaitKind
	Took   time.Duration // from the beginning; that of a phase includes what it has waited for Go, but no later pipe
	Waited time.Duration // how much of Took the phase waited for Go
	Cut    bool          // the phase has ended without a decision: the stream was answered, has ended or the plugin has failed

	Status  int    // of the reply
	Own     bool   // the reply is the plugin's own; otherwise the chain replies, because of the plugin if there is one
	Details string // of the reply, the reset or the panic

	// Changed says which headers, or trailers, the phase has changed. It is set where [Stream.ObserveHeaders] was called.
	Changed []HeaderChange
}

// HeaderChange is what a phase has made of the fields of one name. No value is in it.
type HeaderChange struct {
	Name          string
	Before, After int // how long the values are together; -1: there is none
}

// observed is what the chain remembers for an observer. Its memory is kept across lives.
type observed struct {
	headers bool // which headers a phase changes is of interest
	d       [core.Directions]observedDirection
}

type observedDirection struct {
	phase  phase.Phase
	plugin string
	began  time.Time // of the phase in flight; zero without one
	waits  time.Time // since when it waits; zero when it does not
	waited time.Duration
	wait   WaitKind // what it waits for

	holder  string    // the plugin that waits for a body
	holding time.Time // since when; zero without one

	block  int // whose fields before holds, or -1
	before []core.Field
	change []HeaderChange
}

// AddObserver has o observe the stream too. It is called after Start and before the stream is fed, or by Options.Watch.
func (st *Stream) AddObserver(o Observer) {
	if st.Observer != nil {
		o = both{st.Observer, o}
	}
	st.Observer = o
}

// both are two observers of one stream.
type both struct{ first, second Observer }

// Observe is that of Observer.
func (b both) Observe(e Observation) {
	b.first.Observe(e)
	b.second.Observe(e)
}

// Annotator is an Observer with something to add to the response.
type Annotator interface {
	Observer
	// Annotate returns a field that is added to the headers of the response, which have passed all plugins; one without a
	// name is none. It is called once at most, on the stream's thread.
	Annotate() core.Field
}

// annotate adds what o, one of the stream's observers, says to the response's headers.
func (st *Stream) annotate(o Observer) {
	if b, ok := o.(both); ok {
		st.annotate(b.first)
		st.annotate(b.second)
		return
	}
	a, ok := o.(Annotator)
	if !ok {
		return
	}
	f := a.Annotate()
	if !internals.ValidReplyField(f) {
		return
	}
	st.Mu.Lock()
	b := &st.H[core.ResponseHeaders]
	b.MarkChanged(f.Name, b.Index(f.Name))
	b.Fields, b.Multi = append(b.Fields, f), true
	st.Mu.Unlock()
}

// ObserveHeaders has the stream's observer learn which headers each phase has changed.
func (st *Stream) ObserveHeaders() {
	st.remember()
	st.observed.headers = true
}

func (st *Stream) remember() {
	if st.observed == nil {
		st.observed = &observed{}
	}
}

// observing returns what is remembered of a direction for the observer.
func (st *Stream) observing(d *direction) *observedDirection {
	st.remember()
	return &st.observed.d[d.dir]
}

// begins is called before a plugin's method.
func (st *Stream) begins(d *direction) {
	st.calling = true
	if st.Observer != nil {
		st.observeBegin(d)
	}
}

func (st *Stream) observeBegin(d *direction) {
	o := st.observing(d)
	if !o.holding.IsZero() && d.stage == atWhole {
		st.observeBody(d)
	}
	d.used = true // so that the end of the phase is noticed, whatever ends it
	o.phase, o.plugin, o.waited, o.block = d.phase(), st.chain.names[d.current()], 0, -1
	if st.observed.headers {
		switch d.stage {
		case atHeaders, atWhole:
			o.block = d.dir.Headers()
		case atTrailers:
			o.block = d.dir.Trailers()
		}
	}
	if o.block >= 0 {
		st.Mu.Lock()
		st.H[o.block].Own() // as they are looked at when the host may have taken its memory back
		o.before = append(o.before[:0], st.H[o.block].Fields...)
		st.Mu.Unlock()
	}
	st.Observer.Observe(Observation{Kind: PhaseBegins, Plugin: o.plugin, Phase: o.phase})
	o.began = time.Now()
}

// observeEnd tells the observer that the phase in flight has ended, if one is.
func (st *Stream) observeEnd(d *direction, cut bool) {
	o := st.observing(d)
	if o.began.IsZero() {
		return
	}
	if !o.waits.IsZero() {
		st.observeResume(d)
	}
	e := Observation{
		Kind: PhaseEnds, Plugin: o.plugin, Phase: o.phase, Took: time.Since(o.began), Waited: o.waited, Cut: cut,
	}
	o.began = time.Time{}
	if o.block >= 0 {
		st.Mu.Lock()
		o.change = changes(o.change[:0], o.before, st.H[o.block].Fields)
		st.Mu.Unlock()
		clear(o.before) // which would keep headers alive
		e.Changed = o.change
	}
	st.Observer.Observe(e)
}

// observeSuspend tells the observer that the direction waits for kind.
func (st *Stream) observeSuspend(d *direction, kind WaitKind) {
	o := st.observing(d)
	e := Observation{Kind: WaitBegins, Plugin: o.plugin, Phase: o.phase, Wait: kind}
	if kind == WaitsForConsumer {
		e.Plugin, e.Phase = "", phase.Phase(phase.Count)
	}
	st.Observer.Observe(e)
	o.wait, o.waits = kind, time.Now()
}

// observeResume tells the observer that the wait is over, if there is one.
func (st *Stream) observeResume(d *direction) {
	o := st.observing(d)
	if o.waits.IsZero() {
		return
	}
	e := Observation{Kind: WaitEnds, Plugin: o.plugin, Phase: o.phase, Wait: o.wait, Took: time.Since(o.waits)}
	if o.waits = (time.Time{}); o.wait == WaitsForConsumer {
		e.Plugin, e.Phase = "", phase.Phase(phase.Count)
	} else {
		o.waited += e.Took
	}
	st.Observer.Observe(e)
}

// observeHold tells the observer that the plugin whose turn it is waits for the body. One that waits on does so in one
// wait.
func (st *Stream) observeHold(d *direction) {
	o := st.observing(d)
	if !o.holding.IsZero() {
		return
	}
	o.holder = st.chain.names[d.index(d.held.by)]
	st.Observer.Observe(Observation{
		Kind: WaitBegins, Plugin: o.holder, Phase: phase.Whole(d.dir), Wait: WaitsForBody,
	})
	o.holding = time.Now()
}

// observeBody tells the observer that the wait for the body is over.
func (st *Stream) observeBody(d *direction) {
	o := st.observing(d)
	e := Observation{
		Kind: WaitEnds, Plugin: o.holder, Phase: phase.Whole(d.dir), Wait: WaitsForBody, Took: time.Since(o.holding),
	}
	o.holding = time.Time{}
	st.Observer.Observe(e)
}

// observeComplete calls OnComplete for an observer, which learns of its end even if it panics.
func (st *Stream) observeComplete(i index, h filter.CompleteHandler) {
	e := Observation{Kind: PhaseBegins, Plugin: st.chain.names[i], Phase: phase.OnComplete}
	st.Observer.Observe(e)
	began := time.Now()
	e.Kind, e.Cut = PhaseEnds, true
	defer func() {
		e.Took = time.Since(began)
		st.Observer.Observe(e)
	}()
	h.OnComplete(st.handle(i))
	e.Cut = false
}

// observeCut ends, for the observer, what a direction does that is dropped.
func (st *Stream) observeCut(d *direction) {
	st.observeEnd(d, true)
	st.observeResume(d)
	if o := st.observing(d); !o.holding.IsZero() {
		st.observeBody(d)
	}
}

// observeTimeout tells the observer that what a direction waits for does not come, and that its phase has ended so.
func (st *Stream) observeTimeout(d *direction) {
	o := st.observing(d)
	e := Observation{Kind: PluginTimesOut, Phase: phase.Phase(phase.Count)}
	if !o.waits.IsZero() {
		e.Wait = o.wait
	}
	if e.Wait != WaitsForConsumer {
		e.Plugin, e.Phase = st.chain.names[d.current()], d.phase()
	}
	st.Observer.Observe(e)
	st.observeCut(d)
}

// observeReply tells the observer of a reply, or of one that comes too late and resets the stream.
func (st *Stream) observeReply(d *direction, at position, r *core.Payload, details string) {
	e := Observation{Kind: StreamReplies, Phase: d.phase(), Status: r.Status, Details: details}
	switch r {
	case badUpgrade, noConsumerChain:
	case failed, requestTooLarge, responseTooLarge, requestStalled, responseStalled, timedOut:
		e.Plugin = st.nameAt(d, at)
	default:
		e.Plugin, e.Own = st.nameAt(d, at), true
	}
	st.Observer.Observe(e)
}

// nameAt returns the id of the plugin at a position, or of the last one.
func (st *Stream) nameAt(d *direction, at position) string {
	if d.n == 0 {
		return ""
	}
	return st.chain.names[d.index(min(at, d.n-1))]
}

// observeFailure tells the observer that an error of plugin i's has failed the request, in the phase in flight.
func (st *Stream) observeFailure(i index, in phase.Phase) {
	if st.Observer != nil {
		st.Observer.Observe(Observation{Kind: PluginFails, Plugin: st.chain.names[i], Phase: in})
	}
}

// tellObserver tells the observer, if there is one, of what has neither a beginning nor an end.
func (st *Stream) tellObserver(kind ObservationKind, plugin string, wait WaitKind, details string) {
	if st.Observer != nil {
		st.Observer.Observe(Observation{
			Kind: kind, Plugin: plugin, Phase: phase.Phase(phase.Count), Wait: wait, Details: details,
		})
	}
}

// observeStreamEnd tells the observer that the stream is over, and forgets it.
func (st *Stream) observeStreamEnd() {
	for dir := range st.d {
		st.observeCut(&st.d[dir])
	}
	st.tellObserver(StreamEnds, "", 0, "")
	st.observed.headers = false
}

// changes appends to all which names have other values after than before.
func changes(all []HeaderChange, before, after []core.Field) []HeaderChange {
	if slices.Equal(before, after) {
		return all
	}
	note := func(name string) {
		if slices.ContainsFunc(all, func(c HeaderChange) bool { return c.Name == name }) {
			return
		}
		b, a := sizeOf(before, name), sizeOf(after, name)
		if b != a || !sameValues(before, after, name) {
			all = append(all, HeaderChange{Name: name, Before: b, After: a})
		}
	}
	for i := range after {
		if i >= len(before) || before[i] != after[i] {
			note(after[i].Name)
		}
	}
	for i := range before {
		if i >= len(after) || before[i] != after[i] {
			note(before[i].Name)
		}
	}
	return all
}

// sizeOf returns how long the values of name are together, or -1.
func sizeOf(fields []core.Field, name string) int {
	n := -1
	for i := range fields {
		if fields[i].Name == name {
			n = max(n, 0) + len(fields[i].Value)
		}
	}
	return n
}

// sameValues reports whether the values of name are the same, in the same order.
func sameValues(a, b []core.Field, name string) bool {
	i := 0
	for j := range b {
		if b[j].Name != name {
			continue
		}
		for i < len(a) && a[i].Name != name {
			i++
		}
		if i == len(a) || a[i].Value != b[j].Value {
			return false
		}
		i++
	}
	return !slices.ContainsFunc(a[i:], func(f core.Field) bool { return f.Name == name })
}
