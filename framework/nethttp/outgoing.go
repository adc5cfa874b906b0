package nethttp

import (
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"mosn.io/moe/framework/filter"
)

// outgoing is the request that next was given, copied at that time: what the handler does to it later is its own.
type outgoing struct {
	outline
	r         *http.Request
	same      bool // the body is the handler's own, untouched
	empty     bool // there is none
	cancelled bool // its context is; exchange.mu
	done      bool // its body has been read to the end; exchange.mu
	abandoned bool // next has returned before that; exchange.mu
	err       error

	fromNothing bool // the stream's request has no body

	mu     sync.Mutex // held while the body is read
	closed bool
}

func newOutgoing(r *http.Request, given io.ReadCloser) *outgoing {
	o := &outgoing{outline: outlineOf(r), r: r}
	none := r.Body == nil || r.Body == http.NoBody
	o.same = r.Body == given || none && given == http.NoBody
	o.empty = none && !o.same
	return o
}

// apply changes the headers of the stream's request to what next was given.
func (o *outgoing) apply(h filter.RequestHeaders, before *outline, bodyTaken bool) {
	if o.method != before.method {
		h.SetMethod(o.method)
	}
	if o.host != before.host {
		h.SetHost(o.host)
	}
	if o.uri != before.uri {
		h.SetPath(o.uri)
	}
	const length = "Content-Length"
	change(h.Headers, before.header, o.header)
	switch {
	case o.same && !bodyTaken || o.header.Get(length) != before.header.Get(length):
		// It holds, or the handler has seen to it.
	case o.empty:
		h.Set(length, "0")
	case o.length > 0 && o.length != before.length:
		h.Set(length, strconv.FormatInt(o.length, 10))
	default:
		h.Del(length)
	}
}

// patience is how long a body that is no longer wanted may take to notice that it cannot be read any more.
const patience = 100 * time.Millisecond

// read reads the body; after close it does not touch it.
func (o *outgoing) read(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	if o.empty {
		return 0, io.EOF
	}
	return o.r.Body.Read(p)
}

// close closes the body once nobody reads it, so that the handler has it for itself when next has returned. A read
// from the stream's body has failed by then; one from elsewhere is woken by Close, as net/http's clients do.
func (o *outgoing) close() {
	if o.same || o.empty {
		return
	}
	body := o.r.Body
	wake := time.AfterFunc(patience, func() { closeBody(body) })
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	if wake.Stop() {
		closeBody(body)
	}
}

func closeBody(b io.Closer) {
	defer func() { recover() }() // the handler's code, at the very end of the request, and maybe on a timer's goroutine
	b.Close()
}
