package chain

import (
	"net/http"
	"strconv"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// A body that is longer or shorter than content-length says corrupts an HTTP/1 connection, and lets a client smuggle a
// request. The rules that keep it right:
//
//   - While the headers are held (OnRequest, OnResponse), content-length follows the body.
//   - Pipe, and a plugin registered with filter.ChangesBody, remove it.
//   - A plugin that only looks at chunks keeps it. If it changes their length all the same, or a plugin sets
//     content-length itself, what leaves is counted, and the stream is reset before a wrong length is sent.

// contentLength is the length that the headers of a direction announce.
func (st *Stream) contentLength(di core.Direction) (int64, bool) {
	v := internals.Headers(&st.Stream, 0, di.Headers()).Get("content-length")
	n, err := strconv.ParseInt(v, 10, 64)
	return n, err == nil && n >= 0
}

// setLength sets content-length to n, or removes it when n is negative.
func (st *Stream) setLength(di core.Direction, n int64) {
	st.Mu.Lock()
	defer st.Mu.Unlock()
	b := &st.H[di.Headers()]
	b.MarkChanged("content-length", b.Index("content-length"))
	kept := b.Fields[:0]
	for _, f := range b.Fields {
		if f.Name != "content-length" {
			kept = append(kept, f)
		}
	}
	if n >= 0 {
		kept = append(kept, core.Field{Name: "content-length", Value: strconv.FormatInt(n, 10)})
	}
	b.Fields = kept
}

// resized notes that plugin p changed the length of a chunk by n.
func (d *dir) resized(p, n int) {
	if d.blame = p; d.sent {
		d.check = true
	} else {
		d.delta += int64(n)
	}
}

// forgetLength removes content-length for a plugin that has said that it changes bodies.
func (st *Stream) forgetLength(di core.Direction, d *dir) {
	p := d.plugin(di, d.idx)
	if st.chain.plugins[p].Reg.ChangesBody && st.chain.has[p].Wants()&phase.Body(di) != 0 {
		st.removeLength(di)
	}
}

func (st *Stream) removeLength(di core.Direction) {
	if internals.Headers(&st.Stream, 0, di.Headers()).Has("content-length") {
		st.setLength(di, -1)
	}
}

// fitLength makes content-length right for the body that a plugin lets go of.
func (st *Stream) fitLength(di core.Direction, d *dir, dirty bool) {
	if !dirty && d.delta == 0 {
		return
	}
	delta := d.delta
	d.delta = 0
	if d.hEnd {
		if di == Response && st.bodiless() {
			d.cur = nil
		} else if len(d.cur) > 0 {
			st.setLength(di, int64(len(d.cur)))
		}
		return
	}
	length, ok := st.contentLength(di)
	switch {
	case !ok:
	case d.bufEnd:
		st.setLength(di, int64(len(d.cur)))
	default: // of the rest, only what is known by now
		st.setLength(di, length+delta)
	}
	if !d.bufEnd && st.chain.resizes {
		st.forgetLength(di, d)
	}
}

// bodiless reports whether the response can have no body.
func (st *Stream) bodiless() bool {
	return noBody(internals.Stream(&st.Stream, 0).ResponseHeaders().Status()) || st.isHead()
}

func noBody(status int) bool {
	return status == http.StatusNoContent || status == http.StatusNotModified
}

// beforeHeaders takes the headers back from the last plugin as they leave.
func (st *Stream) beforeHeaders(di core.Direction, d *dir) {
	st.Mu.Lock()
	b := &st.H[di.Headers()]
	b.Owner.Store(0)
	status := false
	for _, name := range b.Changed {
		d.check = d.check || name == "content-length" && !d.hEnd
		status = status || name == ":status" && !d.hEnd
	}
	st.Mu.Unlock()
	if d.delta != 0 {
		d.check = true
	}
	if status && st.bodiless() { // a plugin took the body away, so to speak
		d.check = true
		st.setLength(di, -1)
	}
}

// beforeData reports whether the chunk in flight may leave.
func (st *Stream) beforeData(di core.Direction, d *dir) bool {
	if d.out += int64(len(d.cur)); !d.check {
		return true
	}
	if di == Response && st.bodiless() {
		d.out, d.cur = 0, nil
		return true
	}
	length, ok := st.contentLength(di)
	if !ok || d.out == length || d.out < length && !d.end {
		return true
	}
	st.wrongLength(di, d, length)
	return false
}

// beforeTrailers reports whether the trailers may leave.
func (st *Stream) beforeTrailers(di core.Direction, d *dir) bool {
	if !d.check {
		return true
	}
	length, ok := st.contentLength(di)
	if !ok || d.out == length || di == Response && st.bodiless() {
		return true
	}
	st.wrongLength(di, d, length)
	return false
}

func (st *Stream) wrongLength(di core.Direction, d *dir, length int64) {
	what := "changes the body's length, and content-length says " + strconv.FormatInt(length, 10) +
		": remove it in the header phase, or register with filter.ChangesBody"
	st.chain.report(d.blame, what)
	st.reset("body does not fit its content-length")
}
