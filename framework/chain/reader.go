package chain

import (
	"io"
	"strconv"
	"sync"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/guard"
)

// readSize is how much of a reply's reader is read at once.
const readSize = 32 << 10

// replyReader is the reader of a reply. A chunk is read when the one before has left the chain and downstream can take it.
// How long a Read takes is not bounded: events may be rare. The end of the stream closes the reader.
type replyReader struct {
	st     *Stream
	sink   core.Sink
	gen    uint32
	first  position // the first plugin that sees its chunks
	r      io.Reader
	closed sync.Once

	n    int
	err  error
	buf  []byte
	next func()
}

func newReplyReader(st *Stream, first position, r io.Reader) *replyReader {
	s := &replyReader{st: st, sink: st.sink, gen: st.Gen, first: first, r: r}
	s.next = s.arrived
	return s
}

// pump reads the next chunk. Until it is there, the direction stands still.
func (st *Stream) pump(d *direction) {
	d.suspended, d.used = true, true
	st.Escape(st.Gen)
	go d.reader.read()
}

func (s *replyReader) read() {
	returned := false
	defer func() {
		if fault := guard.Recovered(recover(), returned); fault != nil {
			s.n, s.err = 0, &faultError{fault}
		}
		if s.err != nil {
			s.close()
		}
		s.sink.Post(s.next)
	}()
	s.buf = make([]byte, readSize)
	if s.n, s.err = s.r.Read(s.buf); s.n < 0 || s.n > len(s.buf) {
		panic("Read returns " + strconv.Itoa(s.n) + ", which is not a number of bytes read")
	}
	returned = true
}

func (s *replyReader) arrived() {
	st := s.st
	if !st.alive(s.gen) {
		return
	}
	d := &st.d[Response]
	if d.reader != s {
		return
	}
	st.runs++
	ok := false
	defer st.endRun(d, &ok)
	d.suspended = false
	if s.err != nil {
		d.reader = nil
	}
	if s.err != nil && s.err != io.EOF {
		replier := index(min(d.n-s.first, d.n-1))
		st.sourceFailed(replier, "a reply's reader", "reply", s.err)
	} else {
		d.flight.chunk, d.flight.end, d.flight.hasChunk = s.buf[:s.n], s.err == io.EOF, true
		d.flight.from, d.at, d.stage = s.first, s.first, atBody
		st.loop(d)
	}
	ok = true
}

// close closes the reader once, if it can be closed. It does not wait for it.
func (s *replyReader) close() {
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
	if n := len(d.pipes.fed); d.suspended && n > 0 && d.pipes.fed[n-1].paused {
		st.runs++
		ok := false
		defer st.endRun(d, &ok)
		st.resume(d)
		st.resumePipe(d)
		st.loop(d)
		ok = true
		return
	}
	st.run(d)
}
