package nethttp

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
)

// serve runs the handler.
func (x *exchange) serve(r *http.Request) {
	returned := false
	defer func() {
		v := recover()
		if returned {
			x.down.finish()
		}
		x.mu.Lock()
		defer x.unlock()
		switch p, isOurs := v.(*panicError); {
		case isOurs:
			x.panicked = p
		case v != nil && v != http.ErrAbortHandler:
			x.panicked = &panicError{v, debug.Stack()}
		case !returned:
			x.aborted = true
		}
		x.ended = true
		x.in.close()
		x.back.close()
		x.settled()
	}()
	x.handler.ServeHTTP(&x.down, r)
	returned = true
}

// next is the handler that the middleware wraps: the rest of the chain, and the upstream.
func (x *exchange) next(w http.ResponseWriter, r *http.Request) {
	o := newOutgoing(r, x.given)
	a := x.roundTrip(w, o)
	if a == nil {
		return
	}
	defer x.finishUp(o)
	for k, vs := range a.header { // beside what the handler has set, as httputil.ReverseProxy does
		w.Header()[k] = append(w.Header()[k], vs...)
	}
	w.WriteHeader(a.status)
	x.copyBack(w, a)
	for k, vs := range x.s.ResponseTrailers().HTTP() {
		w.Header()[http.TrailerPrefix+k] = vs
	}
}

// roundTrip sends the request on and returns the upstream's answer. It returns nil after it has answered itself.
func (x *exchange) roundTrip(w http.ResponseWriter, o *outgoing) *answer {
	x.mu.Lock()
	if x.sent != nil {
		x.unlock()
		x.s.Log().Error("the handler calls next a second time: a request can be sent once")
		http.Error(w, "the request was sent already", http.StatusInternalServerError)
		return nil
	}
	if x.replied && !x.ended {
		x.s.Log().Error("the handler calls next after it has flushed a response of its own")
	}
	x.sent = o
	x.changed.Broadcast()
	stop := context.AfterFunc(o.r.Context(), func() {
		x.mu.Lock()
		defer x.unlock()
		o.cancelled = true
		x.changed.Broadcast()
	})
	defer stop()
	over := func() bool { return x.ended || x.replied || x.panicked != nil }
	ok := x.wait(func() bool { return over() || x.answer != nil || o.err != nil || o.cancelled })
	ok, a, err := ok && !over(), x.answer, o.err
	x.unlock()
	if ok && a != nil {
		return a
	}
	x.finishUp(o)
	tooLarge := new(http.MaxBytesError)
	switch {
	case !ok || x.ctx.Err() != nil:
		runtime.Goexit()
	case errors.As(err, &tooLarge):
		http.Error(w, "Request Entity Too Large", http.StatusRequestEntityTooLarge)
	case err != nil:
		x.s.Log().Warn("the request's body failed", "error", err)
		http.Error(w, "Bad Gateway", http.StatusBadGateway)
	default:
		http.Error(w, "Gateway Timeout", http.StatusGatewayTimeout)
	}
	return nil
}

// copyBack copies the upstream's body to w.
func (x *exchange) copyBack(w http.ResponseWriter, a *answer) {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	streams := a.header.Get("Content-Length") == "" ||
		strings.HasPrefix(a.header.Get("Content-Type"), "text/event-stream")
	flush := http.NewResponseController(w).Flush
	unflushed := false
	for {
		if streams && unflushed && x.back.idle() {
			unflushed = false
			_ = flush() // a writer that cannot has its reasons
		}
		n, err := x.back.Read(buf[:])
		if n > 0 {
			unflushed = true
			if _, werr := w.Write(buf[:n]); werr != nil {
				err = werr
			}
		}
		switch {
		case err == io.EOF:
			return
		case err != nil: // half a response is none
			runtime.Goexit()
		}
	}
}

// finishUp ends what is left of sending o.
func (x *exchange) finishUp(o *outgoing) {
	x.mu.Lock()
	if !o.same || x.ended {
		x.in.close()
	}
	o.abandoned = !o.done && o.err == nil
	x.changed.Broadcast()
	x.unlock()
	o.close()
}
