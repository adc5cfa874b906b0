package nethttp

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"mosn.io/moe/framework/filter"
)

// writer is the ResponseWriter that the handler is given. header is the handler's; the rest is guarded by exchange.mu.
type writer struct {
	x       *exchange
	header  http.Header
	head    bool // the request's method is HEAD
	status  int  // 0: not settled
	settled http.Header
	trailer http.Header // set when the handler has returned
	length  int64       // that header declares; -1: none
	written int64
	flushed bool
	out     outlet
}

// Header returns the header that WriteHeader sends.
func (w *writer) Header() http.Header { return w.header }

// WriteHeader settles status and header. It ignores 1xx but for 101.
func (w *writer) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("nethttp: WriteHeader with status %d", status))
	}
	w.x.mu.Lock()
	defer w.x.unlock()
	w.settle(status)
}

func (w *writer) settle(status int) {
	if w.status != 0 || status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	w.status, w.settled, w.length = status, w.header.Clone(), -1
	if n, err := strconv.ParseInt(w.settled.Get("Content-Length"), 10, 64); err == nil && n >= 0 && w.hasBody() {
		w.length = n
	}
	w.x.changed.Broadcast()
}

func (w *writer) hasBody() bool {
	return !w.head && w.status != http.StatusNoContent && w.status != http.StatusNotModified
}

// ready reports whether the response cannot wait any longer for the handler's end.
func (w *writer) ready() bool {
	if w.status == 0 || w.x.committed || w.x.replied {
		return false
	}
	limit := outletLimit
	if w.x.sent == nil && !w.x.in.eof && !w.x.in.closed {
		limit = ownLimit
	}
	return w.flushed || len(w.out.data) >= limit
}

// ownLimit is how much of its own answer a handler may write while it can still read the request's body. (Once the
// answer leaves, the stream takes no more of that.)
const ownLimit = 1 << 20

// Write sends p, or waits until there is room for more.
func (w *writer) Write(p []byte) (int, error) {
	x := w.x
	x.mu.Lock()
	defer x.unlock()
	w.settle(http.StatusOK)
	switch {
	case x.gone:
		return 0, filter.ErrStreamDone
	case x.ended:
		return 0, http.ErrHandlerTimeout
	case w.head:
		return len(p), nil
	case !w.hasBody():
		return 0, http.ErrBodyNotAllowed
	}
	n := len(p)
	if w.length >= 0 {
		p = p[:min(int64(n), w.length-w.written)]
	}
	w.written += int64(len(p))
	w.out.data = append(w.out.data, p...)
	x.changed.Broadcast()
	if w.ready() {
		x.settled()
	}
	if x.wish { // before mu is waited with
		x.outside(func() {})
	}
	if !x.wait(func() bool {
		return len(w.out.data) < outletLimit || x.ended || !w.ready() && !x.committed && !x.replied
	}) {
		return 0, filter.ErrStreamDone
	}
	if len(p) < n {
		return len(p), http.ErrContentLength
	}
	return n, nil
}

// WriteString is Write.
func (w *writer) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// Flush has the response leave now.
func (w *writer) Flush() { _ = w.FlushError() }

// FlushError is Flush, for http.ResponseController.
func (w *writer) FlushError() error {
	x := w.x
	x.mu.Lock()
	defer x.unlock()
	if x.gone {
		return filter.ErrStreamDone
	}
	w.settle(http.StatusOK)
	w.flushed = true
	x.settled()
	return nil
}

// finish is called when the handler has returned.
func (w *writer) finish() {
	w.WriteHeader(http.StatusOK)
	w.x.mu.Lock()
	defer w.x.unlock()
	w.trailer = trailers(w.header, w.settled, w.x.s.ResponseTrailers().HTTP())
	why := ""
	switch {
	case w.x.gone:
		return
	case w.length > w.written:
		why = "the handler wrote less than its Content-Length"
	case w.x.sent == nil && w.x.in.refused: // what it then wrote was not all that it had to say
		why = "the handler read the request's body when its own answer had left"
	default:
		return
	}
	w.x.aborted = true
	w.x.s.Log().Error(why)
}

// replyOptions are the header of a response that is the handler's alone.
func (w *writer) replyOptions() (opts []filter.ReplyOption) {
	h := w.settled
	if p := w.out.data; len(p) > 0 && h["Content-Type"] == nil && h.Get("Content-Encoding") == "" {
		opts = append(opts, filter.WithHeader("content-type", http.DetectContentType(p)))
	}
	for k, vs := range h {
		if ours(k) || k == "Content-Length" && (w.x.ended || w.length < 0) {
			continue
		}
		for _, v := range vs {
			opts = append(opts, filter.WithHeader(strings.ToLower(k), v))
		}
	}
	return opts
}
