package chain

import (
	"io"
	"sync"

	"mosn.io/moe/framework/internal/core"
)

// readSize is how much of a reply's reader is read at once.
const readSize = 32 << 10

// source is the reader of a reply. A chunk is read when the one before has left the chain and downstream can take it.
// How long a Read takes is not bounded: events may be rare. The end of the stream closes the reader.
type source struct {
	st     *Stream
	sink   core.Sink
	gen    uint32
	start  int // the position that sees its chunks first
	r      io.Reader
	closed sync.Once

	n    int
	err  error
	buf  []byte
	next func()
}

func newSource(st *Stream, start int, r io.Reader) *source {
	s := &source{st: st, sink: st.sink, gen: st.Gen, start: start, r: r}
	s.next = s.arrived
	return s
}

// pump reads the next chunk. Until it is there, the direction stands still.
func (st *Stream) pump(d *dir) {
	d.susp = true
	st.Escape(st.Gen)
	go d.src.read()
}

func (s *source) read() {
	defer s.post()
	s.err = io.ErrUnexpectedEOF // if Read does not return
	s.buf = make([]byte, readSize)
	s.n, s.err = s.r.Read(s.buf)
}

func (s *source) post() {
	if v := recover(); v != nil {
		s.n, s.err = 0, &readPanic{caught(v)}
	}
	if s.err != nil {
		s.close()
	}
	s.sink.Post(s.next)
}

type readPanic struct{ r *recovered }

// Error is that of error.
func (*readPanic) Error() string { return "panic in the reply's reader" }

func (s *source) arrived() {
	st := s.st
	if !st.alive(s.gen) {
		return
	}
	d := &st.d[Response]
	if d.src != s {
		return
	}
	st.depth++
	defer st.leave(Response)
	d.susp = false
	if s.err != nil {
		d.src = nil
		if s.err != io.EOF {
			st.readFailed(d, s)
			return
		}
	}
	d.cur, d.end, d.have = s.buf[:s.n], s.err == io.EOF, true
	d.base, d.idx, d.stage = s.start, s.start, atData
	st.loop(Response, d)
}

func (st *Stream) readFailed(d *dir, s *source) {
	p := min(d.n-s.start, d.n-1) // who replied
	if rp, ok := s.err.(*readPanic); ok {
		st.panicIn(p, "a reply's reader", rp.r)
	} else {
		internals.Stream(&st.Stream, p).Log().Error("a reply's reader failed", "error", s.err)
	}
	st.reset("reply: " + s.err.Error())
}

// close closes the reader once, if it can be closed. It does not wait for it.
func (s *source) close() {
	c, ok := s.r.(io.Closer)
	if !ok {
		return
	}
	s.closed.Do(func() {
		go func() {
			defer func() { _ = recover() }()
			c.Close()
		}()
	})
}

// Watermark tells that downstream is above (high) or below its high watermark: above it, no reply's reader is read and
// no pipe of the response goes on that has more to write.
func (st *Stream) Watermark(high bool) {
	if st.high = high; high || st.over {
		return
	}
	d := &st.d[Response]
	if d.susp && len(d.busy) > 0 && d.busy[len(d.busy)-1].paused {
		st.depth++
		defer st.leave(Response)
		st.wake(Response)
		st.resumePipe(Response, d)
		st.loop(Response, d)
		return
	}
	st.run(Response)
}
