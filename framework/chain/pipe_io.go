package chain

import (
	"io"
	"sync"
)

// maxUnflushed is how much a pipe's function may have written that has not moved on: Write waits beyond it. Only tests
// change it.
var maxUnflushed = 1 << 20

// pipe is a function of filter.Pipe at work. A chunk goes in and the direction stands still; when the function reads
// again or returns, what it wrote goes on. It may also go on earlier: when maxUnflushed are written, and at every
// Write where the host has the capability CanPipePromptly.
type pipe struct {
	at     position // of its plugin
	prompt bool
	post   func(ask int, err error) // brings what the function asks to the stream's thread

	// Of the stream's thread.
	ask    int
	err    error
	fedEnd bool // the function has, or will, see io.EOF
	done   bool // the function has returned
	paused bool // downstream is above its high watermark

	// Of the function's goroutines and the stream's thread.
	mu      sync.Mutex
	wake    sync.Cond
	rest    []byte // of the chunk that was fed
	out     []byte // written, not taken
	fed     bool   // a chunk was fed, and no further one asked for
	last    bool   // nothing follows rest
	asked   bool   // a flush was asked for and not done
	flushes int
	stopped error
}

// feed hands over a chunk.
func (p *pipe) feed(chunk []byte, end bool) {
	p.mu.Lock()
	p.rest, p.last, p.fed = chunk, end, true
	p.mu.Unlock()
	p.wake.Broadcast()
}

// take takes what was written.
func (p *pipe) take() []byte {
	p.mu.Lock()
	out := p.out
	p.out, p.asked = nil, false
	p.mu.Unlock()
	return out
}

// flushed lets writers go on.
func (p *pipe) flushed() {
	p.mu.Lock()
	p.flushes++
	p.mu.Unlock()
	p.wake.Broadcast()
}

// flush asks for what was written to move on. p.mu is held, and released meanwhile.
func (p *pipe) flush() {
	if p.asked {
		return
	}
	p.asked = true
	p.mu.Unlock()
	p.post(toFlush, nil)
	p.mu.Lock()
}

type pipeWriter struct{ p *pipe }

// Write keeps what is written, and waits while there is too much of it.
func (w pipeWriter) Write(b []byte) (n int, err error) {
	p := w.p
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if p.stopped != nil {
			return n, p.stopped
		}
		if room := maxUnflushed - len(p.out); room > 0 {
			k := min(room, len(b))
			p.out = append(p.out, b[:k]...)
			n, b = n+k, b[k:]
		}
		if len(b) == 0 {
			if p.prompt {
				p.flush()
			}
			return n, nil
		}
		before := p.flushes
		for p.flush(); p.stopped == nil && p.flushes == before; {
			p.wake.Wait()
		}
	}
}

type pipeReader struct{ p *pipe }

// Read returns what is left of the chunk, or asks for the next and waits for it.
func (r pipeReader) Read(b []byte) (int, error) {
	p := r.p
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.rest) == 0 {
		switch {
		case p.stopped != nil:
			return 0, p.stopped
		case p.last:
			return 0, io.EOF
		case p.fed:
			p.fed = false
			p.mu.Unlock()
			p.post(toRead, nil)
			p.mu.Lock()
		default:
			p.wake.Wait()
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}
