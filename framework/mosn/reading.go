package mosn

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mosn.io/api"
	"mosn.io/moe/framework/network"
	"mosn.io/pkg/buffer"
)

// chunk is how many bytes are read at once.
const chunk = 16 << 10

// readTimeout is after how long without bytes MOSN tells a connection's listeners of OnReadTimeout.
const readTimeout = 15 * time.Second

// readFilter is a filter of the client's bytes, and its callbacks.
type readFilter struct {
	typ string
	api.ReadFilter

	n   *netConn
	met bool // OnNewConnection was called
}

// Connection returns the client's connection.
func (f *readFilter) Connection() api.Connection { return f.n }

// ContinueReading goes on behind this filter, with what the buffer has. It may be called from any goroutine; while another
// filter of the connection runs, what it asks for is done afterwards.
func (f *readFilter) ContinueReading() {
	r := &f.n.reading
	r.do(func() { r.iterate(slices.Index(r.list(), f) + 1) })
}

// UpstreamHost returns what SetUpstreamHost was given, or the host to which Envoy has connected, or nil.
func (f *readFilter) UpstreamHost() api.HostInfo { return f.n.upstreamHost() }

// SetUpstreamHost sets what UpstreamHost returns to the filters of the connection, as in MOSN. It does not choose.
func (f *readFilter) SetUpstreamHost(h api.HostInfo) {
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	f.n.host = h
}

// reading is the client's bytes on their way through the filters. One goroutine at a time is at work with it: what others
// ask for meanwhile queues.
type reading struct {
	n    *netConn
	buf  api.IoBuffer  // what has come and has not passed
	held atomic.Int64  // how much that is
	open chan struct{} // closed once the last filter has let the connection pass
	room chan struct{} // gets something whenever held may have changed

	mu      sync.Mutex // guards what follows
	filters []*readFilter
	running bool
	queue   []func()
}

func newReading(n *netConn) reading {
	return reading{n: n, buf: buffer.NewIoBuffer(0), open: make(chan struct{}), room: make(chan struct{}, 1)}
}

// do runs f, or has it run by whoever is at work.
func (r *reading) do(f func()) {
	r.mu.Lock()
	r.queue = append(r.queue, f)
	turn := !r.running
	r.running = true
	r.mu.Unlock()
	for turn {
		next := r.next()
		if next == nil {
			return
		}
		if !r.n.isClosed() {
			next() // which may not return: runtime.Goexit in a filter, after which the connection is reset
		}
		r.held.Store(int64(r.buf.Len()))
		select {
		case r.room <- struct{}{}:
		default:
		}
	}
}

// next takes what is to be run from the queue. It returns nil where there is nothing left, and nobody at work any more.
func (r *reading) next() (f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 {
		r.queue, r.running = nil, false
		return nil
	}
	f = r.queue[0]
	r.queue = r.queue[1:]
	return f
}

// wait is do that returns when f has run.
func (r *reading) wait(ctx context.Context, f func()) {
	done := make(chan struct{})
	r.do(func() {
		defer close(done)
		f()
	})
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// add adds a filter, as MOSN does: its callbacks first.
func (r *reading) add(f readFilter) {
	f.n = r.n
	if r.n.call(f.typ, "InitializeReadFilterCallbacks", func() { f.InitializeReadFilterCallbacks(&f) }) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.filters = append(r.filters, &f)
	}
}

func (r *reading) list() []*readFilter {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.filters)
}

// iterate calls the filters from one on, until one stops. What the last one leaves in the buffer passes.
func (r *reading) iterate(from int) {
	for i := from; i < len(r.list()); i++ {
		f := r.list()[i]
		if !f.met {
			f.met = true
			if !r.goesOn(f, "OnNewConnection", f.OnNewConnection) {
				return
			}
		}
		if r.buf.Len() > 0 && !r.goesOn(f, "OnData", func() api.FilterStatus { return f.OnData(r.buf) }) {
			return
		}
	}
	select {
	case <-r.open:
	default:
		close(r.open)
	}
	r.pass()
}

// goesOn calls a method of a filter and reports whether the next filter's turn has come.
func (r *reading) goesOn(f *readFilter, method string, run func() api.FilterStatus) bool {
	status := api.Stop
	returned := r.n.call(f.typ, method, func() { status = run() })
	return returned && status != api.Stop && !r.n.isClosed()
}

// pass sends on what the buffer has.
func (r *reading) pass() {
	if p := r.n.piped(); p != nil && r.buf.Len() > 0 {
		_, _ = p.upstream.Write(r.buf.Bytes()) // an error is the connection's end, of which the reader learns
		r.buf.Drain(r.buf.Len())
	}
}

// arrived is bytes of the client.
func (r *reading) arrived(p []byte) {
	_, _ = r.buf.Write(p)
	r.n.count(network.Read, len(p))
	r.iterate(0)
}

// run reads what the client sends until it ends.
func (r *reading) run(ctx context.Context, p *peers) {
	bytes := make([]byte, chunk)
	for ctx.Err() == nil {
		r.n.armRead()
		k, err := p.client.Read(bytes)
		if !r.n.awaitEnabled(ctx) {
			return
		}
		if k > 0 {
			r.wait(ctx, func() { r.arrived(bytes[:k]) })
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if !r.n.isClosed() {
				r.n.OnConnectionEvent(api.OnReadTimeout)
			}
		case errors.Is(err, io.EOF):
			if r.awaitLen(ctx, 1, "bytes are held at the end of the stream") {
				_ = p.upstream.CloseWrite()
			}
			return
		case err != nil:
			return
		}
		if !r.awaitLen(ctx, r.n.holdable(), "more bytes than the buffer limit are held") {
			return
		}
	}
}

// awaitLen waits until the buffer has less than most bytes. What takes longer than a function of [network.Go] may closes the
// connection.
func (r *reading) awaitLen(ctx context.Context, most int, otherwise string) bool {
	var late <-chan time.Time
	for {
		if r.held.Load() < int64(most) || ctx.Err() != nil {
			return ctx.Err() == nil
		}
		if late == nil {
			timer := time.NewTimer(network.GoTimeout)
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-r.room:
		case <-late:
			_ = r.n.c.Close(otherwise + " by MOSN's filters")
			return false
		case <-ctx.Done():
			return false
		}
	}
}
