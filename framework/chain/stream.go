package chain

import (
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// Stages of a direction: what is in flight.
const (
	idle = iota
	atHeaders
	atData
	atTrailers
	atWhole
	dead
)

// event is what arrives: a block of headers or trailers, whose fields are in Stream.H, or a chunk.
type event struct {
	kind uint8 // atHeaders, atData, atTrailers
	end  bool
	p    []byte
}

// dir is one direction of a stream. Positions number the plugins in the order in which they see this direction.
type dir struct {
	n, idx      int
	base, tbase int // the first position that is to see cur; the trailers in flight
	first       int // the first position that sees this direction
	hold        int // the position that holds the headers for OnRequest or OnResponse, or -1
	prefix      int // how much of the body it waits for; 0: all
	limit       int // how much it may; 0: any amount
	stage       uint8
	have, end   bool // cur is in flight; it ends the stream
	hEnd        bool // the headers end the stream
	trail       bool // trailers are in flight
	bufEnd      bool // buf is all of the body
	sent        bool // the headers have left the chain
	susp        bool // the direction waits for a plugin
	used        bool // more than the fields that fresh zeroes may be set
	check       bool // a plugin changed the body's length, or content-length: both are compared as the body leaves
	blame       int  // that plugin

	began time.Time // when the plugin in flight was called, if there is an observer and it was not told yet

	epoch uint32 // counts suspensions and their ends, so that a late result finds another one
	cur   []byte
	buf   []byte
	delta int64 // by how much plugins have changed the body's length before the headers left
	out   int64 // how much of the body has left

	queue []event
	qhead int
	pipes []*pipe
	busy  []*pipe // that have taken a chunk and not asked for more; the last one's turn is next
	src   *source
}

// Stream runs one stream. Its methods are to be called on the stream's thread.
type Stream struct {
	core.Stream
	home, chain *Chain // where it is pooled; where it runs
	sink        core.Sink
	own         []phases
	d           [2]dir
	alarms      [2]alarm

	tried   tried
	laters  []later
	passed  int  // how many plugins have passed the request's headers on
	broken  int  // 1 + the plugin whose newStream panicked
	depth   int  // of runs on the stack
	calling bool // a plugin's method runs
	joined  bool // the point of joining the consumer's chain is past
	joinErr error

	identified bool // others were told who the consumer is
	over       bool // nothing goes on any more
	gone       bool // Done was called in the midst of a run
	high       bool // downstream is above its high watermark

	Replied      bool   // the response is the chain's own
	ReplyDetails string // of that response, for Envoy's response code details
	ReplyGRPC    int    // its gRPC status, or -1: by Envoy's mapping

	// Observer, if the host sets one after Start and before it feeds the stream, is told how long plugins take. It is
	// nil in the next stream that gets this memory.
	Observer Observer
}

func (c *Chain) newStream() *Stream {
	st := &Stream{home: c}
	st.Stream.Later = st.addLater
	return st
}

// Start begins a stream. Done must follow, once.
func (c *Chain) Start(host core.Host, sink core.Sink) *Stream {
	st := c.pool.Get().(*Stream)
	st.Mu.Lock()
	st.Host, st.Plugins, st.Loggers, st.Misuse = host, c.names, c.loggers, c.report
	st.Mu.Unlock()
	st.chain, st.sink = c, sink
	for i := range st.d {
		st.d[i].begin(len(c.plugins))
	}
	st.own = c.static
	if c.perStream {
		st.makeHandlers(make([]phases, 0, len(c.plugins)))
	}
	return st
}

// begin makes d ready for a stream; all else in it is zero.
func (d *dir) begin(n int) { d.n, d.hold = n, -1 }

// makeHandlers sets own to kept, the handlers that are there, and new ones for the rest.
func (st *Stream) makeHandlers(kept []phases) {
	own := append(kept, st.chain.static[len(kept):]...)
	for i := len(kept); i < len(own); i++ {
		if st.chain.plugins[i].Reg.PerStream != nil {
			own[i] = st.makeHandler(i)
		}
	}
	st.own = own
}

func (st *Stream) makeHandler(i int) (p phases) {
	c := st.chain
	defer func() {
		if v := recover(); v != nil {
			st.panicIn(i, "newStream", v)
			st.broken = i + 1
		}
	}()
	v := c.plugins[i].Reg.PerStream(c.plugins[i].Config, internals.Stream(&st.Stream, i))
	if v == nil {
		panic("newStream returns nil")
	}
	return phasesOf(v, c.has[i])
}

// Headers feeds the chain with the headers of a direction. The fields of a block are in Stream.H by then, or its bit in
// Stream.Remote is set.
func (st *Stream) Headers(di core.Direction, end bool) {
	if id := st.chain.options.Identity; id != nil && di == Request {
		st.strip(id)
		st.stripOwned()
	}
	st.feed(di, event{kind: atHeaders, end: end})
}

// Data feeds a chunk, which is Go's, and the chain's from then on.
func (st *Stream) Data(di core.Direction, p []byte, end bool) {
	st.feed(di, event{kind: atData, end: end, p: p})
}

// Trailers feeds trailers, as Headers does headers. They end the direction.
func (st *Stream) Trailers(di core.Direction) { st.feed(di, event{kind: atTrailers, end: true}) }

func (st *Stream) feed(di core.Direction, e event) {
	d := &st.d[di]
	if st.over || st.Replied || d.stage == dead {
		return
	}
	if d.stage != idle || d.susp {
		d.used = true
		d.queue = append(d.queue, e)
		return
	}
	st.begin(di, d, e)
	st.run(di)
}

// begin puts e in flight.
func (st *Stream) begin(di core.Direction, d *dir, e event) {
	if e.kind == atHeaders && di == Response {
		// A response that comes early, as Envoy's 413, concerns the plugins that have passed the request on.
		d.first = d.n - st.passed
	}
	d.stage, d.idx, d.used = e.kind, d.first, d.used || e.kind != atHeaders
	switch e.kind {
	case atHeaders:
		d.hEnd = e.end
	case atData:
		d.cur, d.end, d.have, d.base = e.p, e.end, true, d.first
	case atTrailers:
		d.trail, d.tbase = true, d.first
	}
}

// Done ends the stream: OnComplete runs, and every handle goes stale. st must not be used afterwards.
func (st *Stream) Done() {
	if st.gone {
		return
	}
	st.over, st.gone = true, true
	st.halt()
	for _, i := range st.chain.complete {
		if h := st.own[i].done; h != nil {
			st.callComplete(i, h)
		}
	}
	st.Mu.Lock()
	st.Stream.Reset()
	st.Mu.Unlock()
	if st.depth == 0 {
		st.recycle()
	}
}

func (st *Stream) callComplete(i int, h filter.CompleteHandler) {
	defer func() {
		if v := recover(); v != nil {
			st.panicIn(i, "OnComplete", v)
		}
	}()
	if st.Observer == nil {
		h.OnComplete(internals.Stream(&st.Stream, i))
		return
	}
	began := time.Now()
	h.OnComplete(internals.Stream(&st.Stream, i))
	st.Observer.Observe(st.chain.names[i], phase.OnComplete, time.Since(began))
}

// halt stops what may still run for the stream: timers, pipes and readers.
func (st *Stream) halt() {
	for di := range core.Directions {
		d := &st.d[di]
		if d.susp || d.pipes != nil || d.src != nil {
			st.drop(di)
		}
	}
}

// drop ends whatever a direction waits for.
func (st *Stream) drop(di core.Direction) {
	d := &st.d[di]
	st.wake(di)
	for _, p := range d.pipes {
		p.stop(core.ErrStreamDone)
	}
	if d.src != nil {
		d.src.close()
	}
	d.pipes, d.busy, d.src = nil, nil, nil
}

// recycle gives the memory of a stream back. Handles and functions that are still about find another Gen.
func (st *Stream) recycle() {
	for i := range st.d {
		d := &st.d[i]
		if d.used {
			clear(d.queue)
			*d = dir{queue: d.queue[:0], epoch: d.epoch}
		} else { // headers have passed, and nothing else
			d.idx, d.first, d.stage, d.hEnd, d.sent, d.check = 0, 0, idle, false, false, false
		}
	}
	if st.chain != st.home {
		st.chain.releaseFromStream()
	}
	st.own, st.sink, st.chain, st.laters, st.Observer = nil, nil, nil, nil, nil
	st.joinErr, st.identified = nil, false
	st.passed, st.broken = 0, 0
	if st.home.schemes.kinds != nil {
		clear(st.tried.absent)
		st.tried = tried{absent: st.tried.absent[:0]}
	}
	st.joined, st.over, st.gone, st.high, st.calling = false, false, false, false, false
	st.Replied, st.ReplyDetails, st.ReplyGRPC = false, "", 0
	st.home.pool.Put(st)
}
