package chain

import (
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/deadline"
	"mosn.io/moe/framework/internal/guard"
)

// Stream runs one stream. Its methods are to be called on the stream's thread.
type Stream struct {
	core.Stream
	home  *Chain // where its memory is pooled
	d     [core.Directions]direction
	waits [core.Directions]deadline.Wait[suspension]
	tried tried
	life

	// Reply describes the chain's own response.
	Reply

	// Observer learns what happens to the stream; nil where nobody observes it, which costs next to nothing. It is what
	// Options.Observe returned, with those of AddObserver.
	Observer Observer
	observed *observed
}

// Reply says what a host must know of a response that is the chain's own, beside its headers.
type Reply struct {
	Replied      bool   // the response is the chain's own
	ReplyDetails string // for Envoy's response code details
	ReplyGRPC    int    // its gRPC status, or -1: by Envoy's mapping
}

// life is what belongs to one life of a Stream's memory, beside its directions.
type life struct {
	chain    *Chain // where the stream runs
	sink     core.Sink
	handlers []phases // of the chain's plugins
	late     []lateReply

	collected [core.Directions]bool // the host collects the body, so that the chain does not see how it comes

	passed   position // how many plugins have passed the request's headers on
	broken   index    // 1 + the plugin whose newStream panicked
	runs     int      // how many runs are on the stack
	calling  bool     // a plugin's method runs
	over     bool     // nothing goes on any more
	gone     bool     // Done was called in the midst of a run
	high     bool     // downstream is above its high watermark
	consumer consumerSwitch
	part     partState
}

func (c *Chain) newStream() *Stream {
	st := &Stream{home: c}
	for dir := range core.Directions {
		st.d[dir].dir = dir
	}
	st.Stream.Later = st.replyLater
	return st
}

// Start begins a stream. Done must follow, once.
func (c *Chain) Start(host core.Host, sink core.Sink) *Stream {
	st := c.pool.Get().(*Stream)
	st.Mu.Lock()
	st.Host, st.Loggers, st.Misuse = host, c.loggers, c.report
	st.Mu.Unlock()
	st.chain, st.sink, st.handlers = c, sink, c.static
	for dir := range st.d {
		st.d[dir].n = position(len(c.plugins))
	}
	if !c.plain && c.options.Observe != nil {
		st.Observer = c.options.Observe(st)
	}
	if c.perStream {
		st.makeHandlers(make([]phases, 0, len(c.plugins)))
	}
	return st
}

// makeHandlers sets the stream's handlers to kept, those that are there, and new ones for the rest of the plugins.
func (st *Stream) makeHandlers(kept []phases) {
	handlers := append(kept, st.chain.static[len(kept):]...)
	for i := len(kept); i < len(handlers); i++ {
		if st.chain.plugins[i].Reg.PerStream != nil {
			handlers[i] = st.makeHandler(index(i))
		}
	}
	st.handlers = handlers
}

func (st *Stream) makeHandler(i index) (p phases) {
	c := st.chain
	returned := false
	defer func() {
		if v := guard.Recovered(recover(), returned); v != nil {
			st.broken = i + 1
			st.panicIn(i, newStreamPhase, v)
		}
	}()
	v := c.plugins[i].Reg.PerStream(c.plugins[i].Config, st.handle(i))
	if v == nil {
		panic("newStream returns nil")
	}
	p = c.phasesOf(int(i), v)
	returned = true
	return p
}

// handle returns plugin i's handle on the stream.
func (st *Stream) handle(i index) filter.Stream { return internals.Stream(&st.Stream, int(i)) }

// Headers feeds the chain with the headers of a direction. The fields of a block are in Stream.H by then, or its bit in
// Stream.Remote is set.
func (st *Stream) Headers(dir core.Direction, end bool) {
	if dir == Request && (!st.chain.plain || st.Observer != nil) {
		st.arrives()
	}
	st.feed(dir, event{kind: atHeaders, end: end})
}

// arrives does what a request needs before its headers pass the plugins.
func (st *Stream) arrives() {
	if watch := st.home.options.Watch; watch != nil {
		if o := watch(st); o != nil {
			st.AddObserver(o)
		}
	}
	if id := st.chain.options.Identity; id != nil {
		if !st.chain.options.Part.Follows {
			st.strip(id)
		}
		st.stripOwned()
	}
	st.tellObserver(StreamBegins, "", 0, "")
}

// Data feeds a chunk, which is Go's, and the chain's from then on.
func (st *Stream) Data(dir core.Direction, p []byte, end bool) {
	st.feed(dir, event{kind: atBody, end: end, chunk: p})
}

// Trailers feeds trailers, as Headers does headers. They end the direction.
func (st *Stream) Trailers(dir core.Direction) { st.feed(dir, event{kind: atTrailers, end: true}) }

func (st *Stream) feed(dir core.Direction, e event) {
	d := &st.d[dir]
	if st.over || st.Replied || d.stage == dead {
		return
	}
	if d.stage != idle || d.suspended {
		d.used = true
		d.queue.push(e)
		return
	}
	if d.held.idle {
		st.resume(d)
	}
	st.begin(d, e)
	st.run(d)
}

// begin puts e in flight.
func (st *Stream) begin(d *direction, e event) {
	if e.kind == atHeaders && d.dir == Response {
		// A response that comes early, as Envoy's 413, concerns the plugins that have passed the request on.
		d.first = d.n - st.passed
	}
	d.stage, d.at = e.kind, d.first
	switch e.kind {
	case atHeaders:
		d.headersEnd = e.end
	case atBody:
		d.used = true
		d.flight.chunk, d.flight.end, d.flight.hasChunk, d.flight.from = e.chunk, e.end, true, d.first
	case atTrailers:
		d.used = true
		d.flight.trailers, d.flight.trailersFrom = true, d.first
	}
}

// Skip tells the chain that the headers of a direction have passed it by, because it did not want them (see Wants), and
// that what follows them in that direction comes to it now. A host calls it at most once for a direction, before it
// feeds the chain anything of that direction, and, for the request's, before it feeds the response.
func (st *Stream) Skip(dir core.Direction) {
	d := &st.d[dir]
	d.sent = true
	if dir == Request && st.home.options.Part.Follows {
		// A filter before has answered: no plugin of this part has seen the request. One whose request has not passed
		// that filter either has nothing to tell.
		_ = st.takeOver()
	} else if dir == Request {
		st.passed = d.n
	} else {
		d.first = d.n - st.passed
	}
}

// Done ends the stream: OnComplete runs, and every handle goes stale. st must not be used afterwards.
func (st *Stream) Done() {
	if st.gone {
		return
	}
	st.over, st.gone = true, true
	st.halt()
	if len(st.chain.complete) == 0 {
		st.end()
	} else {
		st.completeFrom(0)
	}
}

// completeFrom calls OnComplete of all plugins that have it, from the next-th on, and ends the stream, even if one of
// them calls runtime.Goexit.
func (st *Stream) completeFrom(next int) {
	all := st.chain.complete
	defer func() {
		if next < len(all) {
			st.completeFrom(next)
		} else {
			st.end()
		}
	}()
	for next < len(all) {
		i := all[next]
		next++
		if h := st.handlers[i].done; h != nil {
			st.callComplete(i, h)
		}
	}
}

// end makes every handle stale and gives the stream's memory back, unless a run uses it still.
func (st *Stream) end() {
	if st.Observer != nil {
		st.observeStreamEnd()
	}
	st.Mu.Lock()
	st.Stream.Reset()
	st.Mu.Unlock()
	if st.runs == 0 {
		st.recycle()
	}
}

func (st *Stream) callComplete(i index, h filter.CompleteHandler) {
	returned := false
	defer func() {
		if v := guard.Recovered(recover(), returned); v != nil {
			st.panicIn(i, "OnComplete", v)
		}
	}()
	if st.Observer == nil {
		h.OnComplete(st.handle(i))
	} else {
		st.observeComplete(i, h)
	}
	returned = true
}

// halt stops what may still run for the stream: waits, pipes and readers.
func (st *Stream) halt() {
	for dir := range st.d {
		if d := &st.d[dir]; d.used {
			st.drop(d)
		}
	}
}

// drop ends whatever a direction waits for.
func (st *Stream) drop(d *direction) {
	if st.Observer != nil {
		st.observeCut(d)
	}
	st.resume(d)
	for _, p := range d.pipes.all {
		p.stop(core.ErrStreamDone)
	}
	if d.reader != nil {
		d.reader.close()
	}
	d.pipes, d.reader = pipes{}, nil
}

// recycle gives the memory of a stream back. Handles and functions that are still about find another Gen.
func (st *Stream) recycle() {
	for dir := range st.d {
		st.d[dir].reset()
	}
	if st.chain != st.home {
		st.chain.releaseFromStream()
	}
	if st.home.schemes.kinds != nil {
		st.tried.reset()
	}
	st.life, st.Reply, st.Observer = life{}, Reply{}, nil
	if verify != nil {
		verify(st, nil, idle)
	}
	st.home.pool.Put(st)
}
