package network

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"mosn.io/moe/framework/internal/guard"
)

// Bounds of what a filter keeps, in bytes and time.
const (
	// MaxWaiting is how many bytes of the upstream may wait for a function of [Go] or [Pipe]. More close the connection.
	MaxWaiting = 16 << 20
	// GoTimeout is how long a function of [Go] may take.
	GoTimeout = 30 * time.Second

	// defaultLimit is Envoy's default of per_connection_buffer_limit_bytes.
	defaultLimit = 1 << 20
	// readyPoll is how often bytes for the upstream look whether there is one.
	readyPoll = 20 * time.Millisecond
)

// Flow is the way of one connection through one filter. It is for hosts: its methods are called on the connection's
// thread, and may be entered again from within what they call of the host.
type Flow struct {
	host   Host
	reg    *Registration
	config any
	filter any // has the methods; nil before the first of them
	conn   *Conn
	log    *slog.Logger

	// What follows belongs to the connection's thread.
	ways       [2]way
	connecting *suspension // OnConnection waits for its function of Go
	closing    bool        // Envoy was asked to close
	closed     bool        // Envoy has closed
	ready      bool        // there is something behind this filter that takes bytes
	polling    bool        // a timer will look whether ready is true
	settling   bool
	delayed    bool // Envoy waits with closing
	unmade     bool // newFilter has panicked
	writing    int  // events of Write under way, one within the other
	postponed  []op // what must not be done within these
	readWaits  bool // bytes for the upstream are among it

	mu     sync.Mutex // guards what follows
	ops    []op
	over   bool
	ended  [2]bool // End was called
	timers map[*Timer]bool
	lent   bool // the context was
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// way is one direction.
type way struct {
	off      bool        // the filter wants nothing of it any more
	waiting  *suspension // the filter's method waits for its function of Go
	held     []byte      // kept by Hold and Pass
	queue    []byte      // came while the direction stood still
	queueEnd bool        // and so did the end of the stream
	out      []byte      // to be passed on
	outEnd   bool
	sent     []func() // to be called once all of out has gone on, or was dropped
	endSeen  bool     // the end of the stream has come
	sentEnd  bool     // it was passed on
	cut      bool     // the filter has ended the direction: what comes is dropped
	inHook   bool     // Envoy waits for what becomes of bytes of this direction
	disabled bool     // Envoy was asked not to read
	pipe     *pipe
}

// still reports whether what comes must wait.
func (w *way) still() bool { return w.waiting != nil || len(w.queue) > 0 || w.queueEnd }

// Wants returns the events that the connection needs from now on.
func (f *Flow) Wants() (w Wants) {
	for dir, want := range [...]Wants{Read: WantRead, Write: WantWrite} {
		if f.intercepts(Direction(dir)) {
			w |= want
		}
	}
	if f.ways[Read].pipe != nil {
		w |= WantWatermark
	}
	if f.implements(WantClose) || w&WantWatermark != 0 || f.connecting != nil || f.ways[Read].waiting != nil ||
		f.ways[Write].waiting != nil || f.lentOut() {
		w |= WantClose
	}
	return w
}

// lentOut reports whether somebody may wait for the connection's end.
func (f *Flow) lentOut() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lent || len(f.timers) > 0
}

func (f *Flow) implements(w Wants) bool { return f.reg.wants&w != 0 }

// intercepts reports whether bytes of a direction must enter Go.
func (f *Flow) intercepts(dir Direction) bool {
	w := &f.ways[dir]
	called := !w.off && f.implements([...]Wants{Read: WantRead, Write: WantWrite}[dir])
	return called || f.closing || f.connecting != nil || w.pipe != nil || w.still() || len(w.out) > 0 ||
		w.outEnd || w.cut
}

// Quiet reports whether nothing can come of the connection any more: its host may end the flow.
func (f *Flow) Quiet() bool {
	if f.intercepts(Read) || f.intercepts(Write) || f.polling {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.implements(WantClose) && !f.lent && len(f.timers) == 0 && len(f.ops) == 0
}

// Connected is the beginning of the connection. It reports whether the filters behind this one must wait.
func (f *Flow) Connected() (stop bool) {
	if !f.implements(WantConnection) {
		return false
	}
	a := f.call("OnConnection", func() Action { return f.filter.(ConnectionHandler).OnConnection(f.conn) })
	f.apply()
	return f.begin(a)
}

// begin carries out what OnConnection has decided.
func (f *Flow) begin(a Action) (stop bool) {
	if f.closing || f.closed {
		return true
	}
	switch a.kind {
	case actDone, actDoneAll:
		f.ways[Read].off, f.ways[Write].off = true, true
	case actPass:
		f.misuse("OnConnection returned Hold or Pass, and there are no bytes yet")
		return true
	case actGo:
		f.connecting = f.start(a.run, nil)
		return true
	case actPipe:
		f.startPipe(a.pipe)
	case actClose, actReset:
		f.finish(a)
		return true
	}
	return false
}

// Data is bytes that Envoy has received: n of them, and perhaps the end of the stream. It reports whether they must not
// go on.
func (f *Flow) Data(dir Direction, n int, end bool) (stop bool) {
	w := &f.ways[dir]
	switch {
	case f.closing || f.closed || w.cut:
		f.host.Replace(dir, nil)
		return true
	case n == 0 && (!end || w.endSeen): // Envoy may say it again
		return w.endSeen && !w.sentEnd
	}
	w.endSeen = end
	if f.connecting != nil || w.still() {
		w.queue = append(w.queue, f.take(dir, n)...)
		w.queueEnd = w.queueEnd || end
		f.bound(dir, len(w.queue))
		return true
	}
	if w.pipe != nil {
		w.pipe.received(dir, f.take(dir, n), end)
		return true
	}
	d := &Data{flow: f, dir: dir, p: w.held, kept: len(w.held) > 0, inEnvoy: n, fresh: true, end: end}
	w.held = nil
	w.inHook = true
	stop = f.offer(d)
	w.inHook = false
	f.flush(Read)
	f.flush(Write)
	return stop
}

// Watermark tells that what waits for the client has come to be too much, or little again.
func (f *Flow) Watermark(above bool) {
	if p := f.ways[Write].pipe; p != nil {
		p.watermark(above)
	}
}

// call calls a method of the filter, and makes the filter of this connection first.
func (f *Flow) call(method string, run func() Action) Action {
	return f.fenced(method, func() Action {
		switch {
		case f.filter != nil:
		case f.reg.PerConnection == nil:
			f.filter = f.config
		default:
			f.unmade = true
			f.filter = f.reg.PerConnection(f.config, f.conn)
			f.unmade = false
		}
		return run()
	})
}

// fenced runs code of the filter's. A panic in it resets the connection.
func (f *Flow) fenced(what string, run func() Action) Action {
	return guard.Call(run, func(fault *guard.Fault) Action {
		text, _ := guard.Text(fault.Value)
		f.log.Error("panic in "+what+" of the network filter "+f.reg.Name, "value", text, "stack", string(fault.Stack))
		f.host.Panicked()
		return Reset("panic")
	})
}

// beside runs code of the filter's on a goroutine of its own, and gives its outcome to then: [Reset] if it panics, or ends
// the goroutine by runtime.Goexit.
func (f *Flow) beside(what string, run func() Action, then func(Action)) {
	guard.Finally(func() Action { return f.fenced(what, run) }, Reset("panic"), then)
}
