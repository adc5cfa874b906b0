package nethttp

import (
	"context"
	"io"
	"net/http"
	"sync"

	"mosn.io/moe/framework/filter"
)

// exchange is one stream. The handler runs on its own goroutine from the request's headers on. The stream's phases
// hand over what has arrived and wait until the handler has decided something, or wants more; once headers have gone
// on, a function of filter.Pipe carries that direction's body.
//
//	client ──► in ───► the handler's r.Body … next's r.Body ──► up ──► upstream
//	client ◄── down ◄─ the handler's w … next's w ◄────────── back ◄── upstream
//
// The two directions never wait for each other, but through the handler.
type exchange struct {
	s       filter.Stream
	handler http.Handler
	later   func(func() filter.Action) // replies where no phase could
	ctx     context.Context            // the stream's; nil: the handler has not been started
	before  outline                    // of the request that the handler was given, and may change in place
	given   io.ReadCloser              // its body
	trailer http.Header                // its trailers, filled in at the body's end

	mu      sync.Mutex // of all that follows
	changed sync.Cond
	gone    bool // the stream has ended
	turns   int  // phases that wait for the handler
	wish    bool // a reply outside the phases is to be asked for when mu is released

	in   inlet  // the request's body
	up   outlet // that which goes upstream, where it is not the former as it came
	back inlet  // the body of the upstream's response
	down writer // the handler's response

	sent      *outgoing // the request that next was given
	answer    *answer   // the upstream's
	committed bool      // the answer's headers have gone on as the handler made them
	replied   bool      // the response is the handler's alone
	ended     bool      // the handler has returned
	aborted   bool      // in a way that resets the stream
	panicked  *panicError
}

// answer is the headers of the upstream's response.
type answer struct {
	status int
	header http.Header
}

func newExchange(m *middleware, s filter.Stream) *exchange {
	x := &exchange{s: s, handler: m.handler}
	x.changed.L = &x.mu
	x.in.x, x.back.x, x.up.x, x.down.x, x.down.out.x = x, x, x, x, x
	x.down.header = http.Header{}
	return x
}

// wait waits, with mu held, until ok, and reports whether the stream goes on.
func (x *exchange) wait(ok func() bool) bool {
	for !x.gone && !ok() {
		x.changed.Wait()
	}
	return !x.gone
}

// turn is wait for a phase. It ends with the handler, too.
func (x *exchange) turn(ok func() bool) bool {
	x.turns++
	defer func() { x.turns-- }()
	return x.wait(func() bool { return x.ended || ok() })
}

// settled tells, with mu held, that the handler has ended or its response can wait no longer. Where no phase waits for
// that, the response is to come outside of them.
func (x *exchange) settled() {
	x.changed.Broadcast()
	x.wish = x.turns == 0 && !x.replied && !x.committed && !x.gone
}

// unlock releases mu.
func (x *exchange) unlock() {
	wish := x.wish
	x.wish = false
	x.mu.Unlock()
	if wish {
		x.later(x.replyLate)
	}
}

func (x *exchange) replyLate() filter.Action {
	x.mu.Lock()
	defer x.unlock()
	if x.replied || x.committed {
		return filter.Continue
	}
	return x.reply()
}

// leave ends everything with the stream.
func (x *exchange) leave() {
	x.mu.Lock()
	defer x.unlock()
	x.gone = true
	x.changed.Broadcast()
}

// reply makes the response from what is the handler's alone; mu is held.
func (x *exchange) reply() filter.Action {
	x.replied = true
	if !x.in.eof { // no more comes; what is there may be read on
		x.in.close()
	}
	x.back.close()
	x.changed.Broadcast()
	switch {
	case x.panicked != nil:
		panic(x.panicked)
	case x.aborted:
		return filter.Reset("the handler aborted")
	}
	opts := x.down.replyOptions()
	if x.ended {
		return filter.Reply(x.down.status, x.down.out.take(), opts...)
	}
	return filter.ReplyReader(x.down.status, replyReader{x}, opts...)
}
