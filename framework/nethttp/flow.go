package nethttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"sync"

	"mosn.io/moe/framework/filter"
)

// inlet is a body that arrives from the stream. Only a Read that finds nothing makes the stream hand over more.
type inlet struct {
	x        *exchange // whose mu guards the rest
	data     []byte
	eof      bool   // nothing follows data
	closed   bool   // nobody may read any more
	refused  bool   // somebody has tried
	taken    bool   // some has been read
	readers  int    // that wait
	trailers func() // called at the end, once
}

// hungry reports whether somebody waits for more.
func (in *inlet) hungry() bool { return in.readers > 0 && len(in.data) == 0 && !in.eof && !in.closed }

func (in *inlet) put(p []byte, eof bool) {
	in.data, in.eof = p, eof
	in.x.changed.Broadcast()
}

func (in *inlet) close() {
	in.closed, in.data = true, nil
	in.x.changed.Broadcast()
}

// idle reports whether a Read would wait.
func (in *inlet) idle() bool {
	in.x.mu.Lock()
	defer in.x.unlock()
	return len(in.data) == 0 && !in.eof && !in.closed
}

func (in *inlet) Read(p []byte) (int, error) {
	x := in.x
	x.mu.Lock()
	defer x.unlock()
	if len(p) == 0 {
		return 0, nil
	}
	for len(in.data) == 0 && !in.eof && !in.closed && !x.gone {
		in.readers++
		x.changed.Broadcast()
		x.changed.Wait()
		in.readers--
	}
	switch {
	case x.gone:
		return 0, filter.ErrStreamDone
	case in.closed:
		in.refused = true
		return 0, http.ErrBodyReadAfterClose
	case len(in.data) > 0:
		n := copy(p, in.data)
		in.data, in.taken = in.data[n:], true
		return n, nil
	}
	if in.trailers != nil {
		in.trailers()
		in.trailers = nil
	}
	return 0, io.EOF
}

// Close makes inlet a request's body.
func (in *inlet) Close() error {
	in.x.mu.Lock()
	defer in.x.unlock()
	in.close()
	return nil
}

// outlet is a body that is to leave. Whoever fills it waits while more than its limit is in it.
type outlet struct {
	x     *exchange // whose mu guards the rest
	data  []byte
	spare []byte // for reuse
}

const (
	outletLimit = 64 << 10
	bufferSize  = 16 << 10
)

// take empties o. give hands the memory back.
func (o *outlet) take() []byte {
	p := o.data
	o.data, o.spare = o.spare, nil
	if len(p) > 0 {
		o.x.changed.Broadcast()
	}
	return p
}

func (o *outlet) give(p []byte) { o.spare = p[:0] }

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// carry is the function of a Pipe: it feeds in from r and empties out into w until done, and discards what r yields
// after that.
func (x *exchange) carry(w io.Writer, r io.Reader, in *inlet, out *outlet, done func() (bool, error)) error {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	if err := x.carryUntil(buf[:], w, r, in, out, done); err != nil {
		return err
	}
	for {
		if _, err := r.Read(buf[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (x *exchange) carryUntil(buf []byte, w io.Writer, r io.Reader, in *inlet, out *outlet,
	done func() (bool, error),
) error {
	x.mu.Lock()
	defer x.unlock()
	defer in.close() // buf is no longer its
	for {
		var over bool
		var err error
		if !x.wait(func() bool {
			over, err = done()
			return over || len(out.data) > 0 || in.hungry()
		}) {
			return filter.ErrStreamDone
		}
		switch {
		case err != nil:
			return err
		case len(out.data) > 0:
			p := out.take()
			x.outside(func() { _, err = w.Write(p) })
			out.give(p)
		case over:
			return nil
		default:
			var n int
			x.outside(func() { n, err = r.Read(buf) })
			if err == io.EOF {
				in.put(buf[:n], true)
				err = nil
			} else if err == nil {
				in.put(buf[:n], false)
			}
		}
		if err != nil { // the direction is over, and soon the stream, whose end wakes the readers of in
			x.wait(func() bool { return x.ended })
			return err
		}
	}
}

// outside runs f with mu released.
func (x *exchange) outside(f func()) {
	x.unlock()
	defer x.mu.Lock()
	f()
}

// errAbandoned is that next has returned while its request's body was on its way.
var errAbandoned = errors.New("nethttp: next has returned")

// carryUp is the Pipe of a request whose body the handler has wrapped or replaced.
func (x *exchange) carryUp(_ context.Context, w io.Writer, r io.Reader) error {
	go x.readUp(x.sent)
	err := x.carry(w, r, &x.in, &x.up, func() (bool, error) {
		o := x.sent
		switch {
		case o.abandoned:
			return true, errAbandoned
		case o.err != nil && x.answer != nil:
			return true, o.err
		case o.err != nil:
			return false, nil // next has it, and will answer
		}
		return o.done, nil
	})
	if err != errAbandoned {
		return err
	}
	// The upstream has answered and not waited for all. A piece must not look to it like the whole, so the request does
	// not end before the stream does, which is when the response has left.
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.unlock()
	x.wait(func() bool { return false })
	return filter.ErrStreamDone
}

// readUp fills up.
func (x *exchange) readUp(o *outgoing) {
	defer func() {
		if v := recover(); v != nil {
			x.mu.Lock()
			defer x.unlock()
			x.panicked = &panicError{v, debug.Stack()}
			x.settled()
		}
	}()
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	for {
		n, err := o.read(buf[:])
		x.mu.Lock()
		x.up.data = append(x.up.data, buf[:n]...)
		x.changed.Broadcast()
		switch {
		case err == io.EOF:
			o.done = true
			if o.r.Trailer != nil && x.in.trailers == nil {
				o.trailer = o.r.Trailer.Clone()
			}
		case err != nil && !o.abandoned:
			o.err = err
		}
		stop := err != nil || !x.wait(func() bool { return len(x.up.data) < outletLimit || o.abandoned }) || o.abandoned
		x.unlock()
		if stop {
			return
		}
	}
}

// carryDown is the Pipe of a response.
func (x *exchange) carryDown(_ context.Context, w io.Writer, r io.Reader) error {
	return x.carry(w, r, &x.back, &x.down.out, func() (bool, error) {
		switch {
		case x.panicked != nil:
			panic(x.panicked)
		case x.aborted:
			return true, http.ErrAbortHandler
		}
		return x.ended, nil
	})
}

// replyReader reads what the handler writes.
type replyReader struct{ x *exchange }

func (r replyReader) Read(p []byte) (int, error) {
	x := r.x
	x.mu.Lock()
	defer x.unlock()
	out := &x.down.out
	if !x.wait(func() bool { return len(out.data) > 0 || x.ended }) {
		return 0, filter.ErrStreamDone
	}
	switch {
	case x.panicked != nil:
		return 0, x.panicked
	case x.aborted:
		return 0, http.ErrAbortHandler
	case len(out.data) > 0:
		n := copy(p, out.data)
		out.data = out.data[:copy(out.data, out.data[n:])]
		x.changed.Broadcast()
		return n, nil
	}
	return 0, io.EOF
}
