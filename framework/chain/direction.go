package chain

import (
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// A stage says what a direction has in flight. What happens at each, and where the direction goes:
//
//	at          the plugin continues       none is left to see it          other ends of a step
//	idle        -                          -                               event → at headers, body or trailers;
//	                                                                       output of a pipe → at body
//	at headers  at headers, next plugin    sent → what is behind           WaitBody → hold; what is behind, or at whole
//	                                                                       where nothing follows the headers
//	at body     at body, next plugin       sent, or collected by a         collected enough → at whole
//	                                       plugin that holds → what is
//	                                       behind
//	at trailers at trailers, next plugin   sent → idle; if a plugin        rest of a pipe → at body
//	                                       holds → at whole
//	at whole    at headers, next plugin;   -                               WaitBody → hold on; what is behind
//	            the body is behind
//	dead        -                          -                               -
//
// What is behind is the chunk in flight (at body), the pipe that was fed last (at body), the trailers in flight (at
// trailers), or nothing (idle). Go suspends a direction where it stands. A reply makes the request's direction dead and
// puts the response's at headers, whatever it was at; a reset, and the stream's end, stop both. legalSteps is the table
// as tests check it.
type stage uint8

// The stages. Those from at headers to at whole stand in the order of a direction's phases.
const (
	idle stage = iota
	atHeaders
	atBody
	atTrailers
	atWhole
	dead
)

// position counts the plugins in the order in which a direction passes them.
type position int

// index counts the plugins in the order of the chain, which is the order of the request's positions.
type index int

// direction is one direction of a stream. Its state is split by what it is about; reset makes all of it zero again.
type direction struct {
	dir   core.Direction // fixed
	epoch uint32         // kept across lives; it counts waits and their ends, so that a late result finds another one
	n     position       // how many plugins there are

	course

	used   bool // any of what follows may be set
	flight flight
	held   held
	length length
	pipes  pipes
	queue  queue
	reader *replyReader // of a reply, or nil
}

// course is how far a direction has come: all that a stream of headers alone changes.
type course struct {
	stage      stage
	at         position // the plugin whose turn it is
	first      position // the first plugin that sees the direction
	headersEnd bool     // the headers end the stream
	sent       bool     // the headers have left the chain
	suspended  bool     // the direction waits for a plugin
}

// flight is what is on its way to the plugins behind, or beside the headers that are.
type flight struct {
	chunk        []byte
	hasChunk     bool     // chunk is in flight, even if empty
	end          bool     // chunk ends the stream
	from         position // the first plugin that is to see chunk
	trailers     bool     // the trailers are in flight
	trailersFrom position // the first plugin that is to see them
}

// held is what a plugin holds.
type held struct {
	holds  bool
	by     position // the plugin that holds the headers
	prefix int      // how much of the body it waits for; 0: all
	limit  int      // how much it may hold; 0: any amount
	body   []byte
	whole  bool // body is all there is
	tunnel bool // what follows the headers are the bytes of a tunnel, not a body: body stays empty
	idle   bool // the direction waits for more of the body, and the chain bounds that
}

// pipes are the functions of filter.Pipe that run in a direction.
type pipes struct {
	all []*pipe
	fed []*pipe // that have taken a chunk and not asked for more; the last one's turn is next
}

// event is what a host feeds: a block of headers or trailers, whose fields are in Stream.H, or a chunk.
type event struct {
	kind  stage // atHeaders, atBody or atTrailers
	end   bool
	chunk []byte
}

// queue keeps the events that arrive while something is in flight. Its memory is kept across lives.
type queue struct {
	events []event
	head   int
}

func (q *queue) empty() bool { return q.head == len(q.events) }

func (q *queue) push(e event) { q.events = append(q.events, e) }

// pop takes the first event of a queue that is not empty.
func (q *queue) pop() event {
	e := q.events[q.head]
	q.events[q.head] = event{}
	if q.head++; q.head == len(q.events) {
		q.events, q.head = q.events[:0], 0
	}
	return e
}

func (q *queue) clear() {
	clear(q.events)
	q.events, q.head = q.events[:0], 0
}

// reset makes d ready for another life, or for a reply. What waits for it must have been dropped.
func (d *direction) reset() {
	d.course = course{}
	if !d.used {
		return
	}
	d.used, d.flight, d.held, d.length, d.pipes, d.reader = false, flight{}, held{}, length{}, pipes{}, nil
	d.queue.clear()
}

// stop is the position before which body and trailers stay while a plugin holds the headers.
func (d *direction) stop() position {
	if d.held.holds {
		return d.held.by
	}
	return d.n
}

// index returns the plugin at a position.
func (d *direction) index(at position) index {
	if d.dir == Response {
		return index(d.n - 1 - at)
	}
	return index(at)
}

// current returns the plugin that the direction is at; where it waits at its end, the last one.
func (d *direction) current() index { return d.index(min(d.at, d.n-1)) }

// phase returns the phase in flight; phase.Count where none is.
func (d *direction) phase() phase.Phase {
	if d.stage < atHeaders || d.stage > atWhole {
		return phase.Phase(phase.Count)
	}
	return phase.Phase(int(d.dir)*phase.PerDirection + int(d.stage-atHeaders))
}
