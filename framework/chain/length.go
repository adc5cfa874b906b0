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

// length accounts for the length of a body whose headers may have left.
type length struct {
	check bool  // a plugin changed the body's length, or content-length: both are compared as the body leaves
	blame index // that plugin
	delta int64 // by how much plugins have changed the body's length before the headers left
	out   int64 // how much of the body has left
}

// contentLength is the length that the headers of a direction announce.
func (st *Stream) contentLength(dir core.Direction) (int64, bool) {
	v := internals.Headers(&st.Stream, 0, dir.Headers()).Get("content-length")
	n, err := strconv.ParseInt(v, 10, 64)
	return n, err == nil && n >= 0
}

// setLength sets content-length to n, or removes it when n is negative.
func (st *Stream) setLength(dir core.Direction, n int64) {
	st.Mu.Lock()
	defer st.Mu.Unlock()
	b := &st.H[dir.Headers()]
	b.MarkChanged("content-length", b.Index("content-length"))
	b.Own()
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

// resized notes that plugin i changed the length of a chunk by n.
func (d *direction) resized(i index, n int) {
	d.used = true
	if d.length.blame = i; d.sent {
		d.length.check = true
	} else {
		d.length.delta += int64(n)
	}
}

// forgetLength removes content-length for a plugin that has said that it changes bodies.
func (st *Stream) forgetLength(d *direction) {
	i := d.index(d.at)
	if st.chain.plugins[i].Reg.ChangesBody && st.chain.has[i].Wants()&phase.Body(d.dir) != 0 {
		st.removeLength(d.dir)
	}
}

func (st *Stream) removeLength(dir core.Direction) {
	if internals.Headers(&st.Stream, 0, dir.Headers()).Has("content-length") {
		st.setLength(dir, -1)
	}
}

// fitLength makes content-length right for the body that a plugin lets go of.
func (st *Stream) fitLength(d *direction, dirty bool) {
	if !dirty && d.length.delta == 0 {
		return
	}
	delta := d.length.delta
	d.length.delta = 0
	if d.headersEnd {
		if d.dir == Response && st.bodiless() {
			d.flight.chunk = nil
		} else if len(d.flight.chunk) > 0 {
			st.setLength(d.dir, int64(len(d.flight.chunk)))
		}
		return
	}
	length, ok := st.contentLength(d.dir)
	switch {
	case !ok:
	case d.held.whole:
		st.setLength(d.dir, int64(len(d.flight.chunk)))
	default: // of the rest, only what is known by now
		st.setLength(d.dir, length+delta)
	}
	if !d.held.whole && st.chain.resizes {
		st.forgetLength(d)
	}
}

// bodiless reports whether the response can have no body.
func (st *Stream) bodiless() bool {
	return noBody(st.handle(0).ResponseHeaders().Status()) || st.isHead()
}

func noBody(status int) bool {
	return status == http.StatusNoContent || status == http.StatusNotModified
}

// beforeHeaders takes the headers back from the last plugin as they leave.
func (st *Stream) beforeHeaders(d *direction) {
	st.Mu.Lock()
	b := &st.H[d.dir.Headers()]
	b.Owner.Store(0)
	status := false
	for _, name := range b.Changed {
		d.length.check = d.length.check || name == "content-length" && !d.headersEnd
		status = status || name == ":status" && !d.headersEnd
	}
	st.Mu.Unlock()
	if d.length.delta != 0 {
		d.length.check = true
	}
	if status && st.bodiless() { // a plugin took the body away, so to speak
		d.length.check = true
		st.setLength(d.dir, -1)
	}
	d.used = d.used || d.length.check
}

// beforeData reports whether the chunk in flight may leave.
func (st *Stream) beforeData(d *direction) bool {
	if d.length.out += int64(len(d.flight.chunk)); !d.length.check {
		return true
	}
	if d.dir == Response && st.bodiless() {
		d.length.out, d.flight.chunk = 0, nil
		return true
	}
	length, ok := st.contentLength(d.dir)
	if !ok || d.length.out == length || d.length.out < length && !d.flight.end {
		return true
	}
	st.wrongLength(d, length)
	return false
}

// beforeTrailers reports whether the trailers may leave.
func (st *Stream) beforeTrailers(d *direction) bool {
	if !d.length.check {
		return true
	}
	length, ok := st.contentLength(d.dir)
	if !ok || d.length.out == length || d.dir == Response && st.bodiless() {
		return true
	}
	st.wrongLength(d, length)
	return false
}

func (st *Stream) wrongLength(d *direction, length int64) {
	what := "changes the body's length, and content-length says " + strconv.FormatInt(length, 10) +
		": remove it in the header phase, or register with filter.ChangesBody"
	st.misuse(d.length.blame, what)
	st.reset("body does not fit its content-length")
}
