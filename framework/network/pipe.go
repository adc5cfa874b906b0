package network

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Peer is one of the two that a connection connects, as a net.Conn. Read yields what the peer sends, and io.EOF when it
// has closed its direction; Write sends it bytes, and waits while too many are on their way. CloseWrite tells it that
// nothing more comes. Close closes the connection as a whole.
type Peer interface {
	net.Conn
	CloseWrite() error
}

// Pipe lends the connection to f, on a goroutine of its own: f reads what the client and the upstream send, beginning
// with the bytes that the method was given, and writes what they get; nothing passes by itself.
//
// When f returns nil, the connection goes on without the filter, from the first byte that f has not read. An error, or a
// panic, resets the connection. To end it in order, close one of the two. When it ends otherwise, ctx is cancelled, and
// Read and Write return [ErrDone].
//
// tcp_proxy closes a connection when both the client and the upstream have ended their directions, and does not wait for
// what f is yet to write, unless Envoy's runtime has envoy.reloadable_features.connection_close_through_filter_manager.
func Pipe(f func(ctx context.Context, client, upstream Peer) error) Action {
	return Action{kind: actPipe, pipe: f}
}

// maxSent is how many bytes of a peer's Write may be on their way to Envoy.
const maxSent = 256 << 10

// closeDelay bounds how long Envoy is to wait with closing for a function that has something of the upstream's at hand.
const closeDelay = 5 * time.Second

// pipe is a connection that is lent to a function. Its peers are by the direction of what is read from them.
type pipe struct {
	flow  *Flow
	peers [2]*peer
}

type peer struct {
	pipe *pipe
	dir  Direction // of what is read from it; what is written to it goes the other way

	mu      sync.Mutex
	changed sync.Cond
	in      []byte
	inEnd   bool
	sent    int  // bytes that are yet to reach Envoy
	above   bool // Envoy has too much for this peer

	idle      bool      // the function waits for more
	busyUntil time.Time // after what has come last
	looks     bool      // a timer will ask whether it is
	err       error
	deadline  [2]deadline
}

// deadline bounds the waits of one direction.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (f *Flow) startPipe(run func(context.Context, Peer, Peer) error) {
	p := &pipe{flow: f}
	for dir := range p.peers {
		x := &peer{pipe: p, dir: Direction(dir), idle: true}
		x.changed.L = &x.mu
		p.peers[dir] = x
		w := &f.ways[dir]
		w.pipe = p
		if len(w.held) > 0 {
			p.received(x.dir, w.held, false)
			w.held = nil
		}
	}
	f.delay()
	ctx := f.context()
	var err error
	go f.beside("a function of Pipe", func() Action {
		err = run(ctx, p.peers[Read], p.peers[Write])
		return Continue
	}, func(a Action) { _ = f.push(op{kind: opCall, run: func() { p.returned(a, err) }}) })
}

// received hands bytes to the function.
func (p *pipe) received(dir Direction, b []byte, end bool) {
	x := p.peers[dir]
	x.mu.Lock()
	x.in = append(x.in, b...)
	x.inEnd = x.inEnd || end
	x.idle, x.busyUntil = false, time.Now().Add(closeDelay)
	n, look := len(x.in), dir == Write && !x.looks
	x.looks = x.looks || look
	x.mu.Unlock()
	x.changed.Broadcast()
	if dir == Write {
		p.flow.delay()
	}
	if look {
		p.look()
	}
	p.flow.bound(dir, n)
}

// look has Envoy close in the end, though the function has not come back for more of the upstream's bytes.
func (p *pipe) look() {
	p.flow.after(closeDelay, func() {
		x := p.peers[Write]
		x.mu.Lock()
		again := !x.idle && time.Now().Before(x.busyUntil)
		x.looks = again
		x.mu.Unlock()
		if again {
			p.look()
			return
		}
		p.flow.delay()
	})
}

// busy reports whether the function may be at work with bytes of the upstream: it has not come back for more.
func (p *pipe) busy() bool {
	x := p.peers[Write]
	x.mu.Lock()
	defer x.mu.Unlock()
	return !x.idle && time.Now().Before(x.busyUntil)
}

func (p *pipe) watermark(above bool) {
	x := p.peers[Read]
	x.mu.Lock()
	x.above = above
	x.mu.Unlock()
	x.changed.Broadcast()
}

// fail ends what waits.
func (p *pipe) fail(err error) {
	for _, x := range p.peers {
		x.mu.Lock()
		if x.err == nil {
			x.err = err
		}
		x.mu.Unlock()
		x.changed.Broadcast()
	}
}

// returned is called on the connection's thread when the function has returned.
func (p *pipe) returned(a Action, err error) {
	f := p.flow
	p.fail(net.ErrClosed)
	if f.closing || f.closed {
		return
	}
	if err != nil {
		f.log.Warn("the function of Pipe failed; the connection is reset", "error", err)
		a = Reset("the function of Pipe failed")
	}
	if a.kind == actReset {
		f.finish(a)
		return
	}
	for dir := range f.ways {
		x, w := p.peers[dir], &f.ways[dir]
		w.pipe, w.off = nil, true
		if !w.outEnd && !w.sentEnd {
			w.out, w.outEnd = append(w.out, x.in...), x.inEnd
		}
		f.flush(Direction(dir))
		f.bound(Direction(dir), 0)
	}
	f.delay()
}

// Read is that of net.Conn.
func (x *peer) Read(b []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for {
		switch {
		case len(b) == 0:
			return 0, x.err
		case len(x.in) > 0 && x.err == nil:
			n := copy(b, x.in)
			x.in = x.in[n:]
			if len(x.in) == 0 {
				x.in = nil
			}
			x.drained()
			return n, nil
		case x.err != nil:
			return 0, x.err
		case x.inEnd:
			return 0, io.EOF
		case x.deadline[0].passed():
			return 0, os.ErrDeadlineExceeded
		}
		if x.dir == Write && !x.idle {
			x.idle = true
			f := x.pipe.flow
			_ = f.push(op{kind: opCall, run: f.delay})
		}
		x.changed.Wait()
	}
}

// drained has Envoy read again once enough was taken. mu is held.
func (x *peer) drained() {
	if x.dir == Read && len(x.in) == 0 {
		_ = x.pipe.flow.push(op{kind: opCall, run: func() {
			x.mu.Lock()
			n := len(x.in)
			x.mu.Unlock()
			x.pipe.flow.bound(Read, n)
		}})
	}
}

// Write is that of net.Conn.
func (x *peer) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		k := min(len(b), maxSent)
		if err := x.write(b[:k]); err != nil {
			return n, err
		}
		n += k
		b = b[k:]
	}
	return n, nil
}

func (x *peer) write(b []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for x.err == nil && (x.sent >= maxSent || x.above) {
		if x.deadline[1].passed() {
			return os.ErrDeadlineExceeded
		}
		x.changed.Wait()
	}
	switch {
	case x.err != nil:
		return x.err
	case x.deadline[1].passed():
		return os.ErrDeadlineExceeded
	}
	n := len(b)
	err := x.pipe.flow.push(op{kind: opInject, dir: 1 - x.dir, p: append([]byte(nil), b...), sent: func() {
		x.mu.Lock()
		x.sent -= n
		x.mu.Unlock()
		x.changed.Broadcast()
	}})
	if err == nil {
		x.sent += n
	}
	return err
}

// CloseWrite is that of Peer.
func (x *peer) CloseWrite() error { return x.pipe.flow.conn.End(1 - x.dir) }

// Close is that of net.Conn.
func (x *peer) Close() error { return x.pipe.flow.conn.Close("closed by the function of Pipe") }

// LocalAddr is that of net.Conn: the address that the client has connected to, for both peers.
func (x *peer) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(x.pipe.flow.conn.LocalAddr()) }

// RemoteAddr is that of net.Conn.
func (x *peer) RemoteAddr() net.Addr {
	if x.dir == Read {
		return net.TCPAddrFromAddrPort(x.pipe.flow.conn.RemoteAddr())
	}
	u, _ := x.pipe.flow.conn.Upstream()
	return net.TCPAddrFromAddrPort(u.Addr)
}

// SetDeadline is that of net.Conn.
func (x *peer) SetDeadline(t time.Time) error {
	return errors.Join(x.SetReadDeadline(t), x.SetWriteDeadline(t))
}

// SetReadDeadline is that of net.Conn.
func (x *peer) SetReadDeadline(t time.Time) error { return x.setDeadline(0, t) }

// SetWriteDeadline is that of net.Conn.
func (x *peer) SetWriteDeadline(t time.Time) error { return x.setDeadline(1, t) }

func (x *peer) setDeadline(i int, t time.Time) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	d := &x.deadline[i]
	if d.timer != nil {
		d.timer.Stop()
	}
	*d = deadline{at: t}
	if !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), x.changed.Broadcast)
	}
	x.changed.Broadcast()
	return x.err
}

func (d deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }
