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

// suspension is a function of Go under way.
type suspension struct {
	data  *Data // nil: OnConnection's
	timer *time.Timer
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

// take moves the bytes of the event under way to Go.
func (f *Flow) take(dir Direction, n int) []byte {
	if n == 0 {
		return nil
	}
	p, _ := f.host.Received(dir, nil)
	f.host.Replace(dir, nil)
	return p
}

// offer has the filter decide about bytes.
func (f *Flow) offer(d *Data) (stop bool) {
	w := &f.ways[d.dir]
	var a Action
	switch {
	case w.off:
	case d.dir == Read && f.implements(WantRead):
		a = f.call("OnRead", func() Action { return f.filter.(ReadHandler).OnRead(f.conn, d) })
	case d.dir == Write && f.implements(WantWrite):
		a = f.call("OnWrite", func() Action { return f.filter.(WriteHandler).OnWrite(f.conn, d) })
	}
	f.apply()
	return f.decide(d, a)
}

// decide carries out what the filter has decided about bytes.
func (f *Flow) decide(d *Data, a Action) (stop bool) {
	w := &f.ways[d.dir]
	if f.closing || f.closed {
		return f.drop(d)
	}
	if w.pipe != nil { // since the method began to wait
		w.pipe.received(d.dir, d.take(), d.end)
		return true
	}
	switch a.kind {
	case actPass:
		return f.keep(d, a.n)
	case actGo:
		d.mu.Lock()
		d.load()
		if d.fresh {
			f.host.Replace(d.dir, nil)
		}
		d.fresh = false
		d.mu.Unlock()
		w.waiting = f.start(a.run, d)
		f.delay()
		return true
	case actPipe:
		dir, end := d.dir, d.end
		p := d.take()
		if d.fresh {
			f.host.Replace(dir, nil)
		}
		f.startPipe(a.pipe)
		f.ways[dir].pipe.received(dir, p, end)
		return true
	case actClose, actReset:
		f.drop(d)
		f.finish(a)
		return true
	case actDoneAll:
		f.ways[Read].off, f.ways[Write].off = true, true
	case actDone:
		w.off = true
	}
	return f.pass(d, d.Len())
}

// drop ends bytes that go nowhere.
func (f *Flow) drop(d *Data) (stop bool) {
	d.take()
	if d.fresh {
		f.host.Replace(d.dir, nil)
	}
	return true
}

// keep passes n bytes on and holds the rest.
func (f *Flow) keep(d *Data, n int) (stop bool) {
	w := &f.ways[d.dir]
	d.mu.Lock()
	all := d.load()
	d.mu.Unlock()
	n = min(max(n, 0), len(all))
	rest := all[n:]
	switch {
	case d.end:
		f.drop(d)
		f.misuse("held bytes at the end of the stream")
		return true
	case len(rest) > f.limit():
		f.drop(d)
		f.finish(Close("more bytes than the buffer limit would be held"))
		return true
	}
	w.held = rest
	d.Set(all[:n:n])
	return f.pass(d, n)
}

// pass passes the first n bytes on, which are all that d has.
func (f *Flow) pass(d *Data, n int) (stop bool) {
	w := &f.ways[d.dir]
	if len(w.out) == 0 && !w.outEnd && d.untouched(n) {
		w.sentEnd = w.sentEnd || d.end
		return false
	}
	fresh := d.fresh
	p := d.take()
	if fresh && !w.outEnd {
		if len(w.out) > 0 {
			p = append(w.out, p...)
			w.out = nil
		}
		f.host.Replace(d.dir, p)
		w.gone()
		w.sentEnd = w.sentEnd || d.end
		return len(p) == 0 && !d.end
	}
	if fresh {
		f.host.Replace(d.dir, nil)
	}
	if !w.outEnd {
		w.out, w.outEnd = append(w.out, p...), d.end
	}
	f.flush(d.dir)
	return true
}

// flush passes on what waits for that, unless Envoy waits for what becomes of bytes: those of this direction go the same
// way, and those of the other may bring Envoy to send an answer meanwhile.
func (f *Flow) flush(dir Direction) {
	if !f.ways[Read].inHook && !f.ways[Write].inHook {
		f.inject(dir)
	}
}

func (f *Flow) inject(dir Direction) {
	w := &f.ways[dir]
	if f.closed || len(w.out) == 0 && !w.outEnd {
		return
	}
	if dir == Read && f.writing > 0 {
		f.postponeRead()
		return
	}
	if dir == Read && !f.ready {
		if !f.upstreamReady() {
			f.poll()
			return
		}
		f.ready = true
	}
	p, end := w.out, w.outEnd
	w.out, w.outEnd = nil, false
	w.sentEnd = w.sentEnd || end
	w.gone()
	f.host.Inject(dir, p, end)
}

// gone tells that nothing is left of out.
func (w *way) gone() {
	sent := w.sent
	w.sent = nil
	for _, f := range sent {
		f()
	}
}

// upstreamReady reports whether nobody behind this filter keeps Envoy from reading, as tcp_proxy does until it has an
// upstream. What this filter itself keeps back does not count.
func (f *Flow) upstreamReady() bool {
	if f.ways[Read].disabled {
		f.host.DisableReading(false)
		defer f.host.DisableReading(true)
	}
	return f.host.ReadingEnabled()
}

// poll looks again soon whether there is an upstream: Envoy tells a filter of none.
func (f *Flow) poll() {
	if f.polling {
		return
	}
	f.polling = true
	f.after(readyPoll, func() {
		f.polling = false
		f.flush(Read)
	})
}

// resume carries out what a function of Go has returned.
func (f *Flow) resume(s *suspension, a Action) {
	s.timer.Stop()
	if s.data == nil {
		f.resumeConnection(s, a)
		return
	}
	dir := s.data.dir
	w := &f.ways[dir]
	if w.waiting != s {
		return
	}
	w.waiting = nil
	f.decide(s.data, a)
	f.serve(dir)
	f.delay()
}

func (f *Flow) resumeConnection(s *suspension, a Action) {
	if f.connecting != s {
		return
	}
	if f.writing > 0 { // the filters behind would begin
		f.postpone(op{kind: opResult, waiting: s, action: a})
		return
	}
	f.connecting = nil
	if f.begin(a) {
		return
	}
	// Envoy would tell the next filter of the end before we could pass the bytes: to inject begins the next filter, too.
	if !f.ways[Read].queueEnd {
		f.host.ContinueReading()
	}
	f.serve(Read)
	f.serve(Write)
}

// serve offers what has come while a direction stood still.
func (f *Flow) serve(dir Direction) {
	w := &f.ways[dir]
	for w.waiting == nil && f.connecting == nil && !f.closing && !f.closed && (len(w.queue) > 0 || w.queueEnd) {
		p, end := w.queue, w.queueEnd
		w.queue, w.queueEnd = nil, false
		if w.pipe != nil {
			w.pipe.received(dir, p, end)
			continue
		}
		d := &Data{flow: f, dir: dir, p: append(w.held, p...), kept: true, end: end}
		w.held = nil
		f.offer(d)
	}
	if w.pipe == nil {
		f.bound(dir, len(w.queue))
	}
}

// delay has Envoy wait with closing while there are bytes for the client that are yet to be decided about.
func (f *Flow) delay() {
	w := &f.ways[Write]
	if want := !f.closing && !f.closed && (w.waiting != nil || w.pipe != nil && w.pipe.busy()); want != f.delayed {
		f.delayed = want
		f.host.DelayClose(want)
	}
}

// limit is how many bytes may be held.
func (f *Flow) limit() int {
	if n := f.host.BufferLimit(); n > 0 {
		return n
	}
	return defaultLimit
}

// bound keeps what waits within limits.
func (f *Flow) bound(dir Direction, waiting int) {
	w := &f.ways[dir]
	switch {
	case f.closing || f.closed:
	case dir == Write:
		if waiting > MaxWaiting {
			f.finish(Close("the filter is too slow for the upstream"))
		}
	case waiting >= f.limit() && !w.disabled:
		w.disabled = true
		f.host.DisableReading(true)
	case waiting < f.limit() && w.disabled:
		w.disabled = false
		f.host.DisableReading(false)
	}
}

// start runs a function of Go.
func (f *Flow) start(run func(context.Context) Action, d *Data) *suspension {
	s := &suspension{data: d}
	ctx := f.context()
	s.timer = time.AfterFunc(GoTimeout, func() {
		_ = f.push(op{kind: opResult, waiting: s, action: Close("a function of Go takes longer than " + GoTimeout.String())})
	})
	go func() {
		a := f.fenced("a function of Go", func() Action { return run(ctx) })
		_ = f.push(op{kind: opResult, waiting: s, action: a})
	}()
	return s
}

// finish closes the connection.
func (f *Flow) finish(a Action) {
	if f.closing || f.closed {
		return
	}
	how := Flush
	if a.kind == actReset {
		how = Abort
	} else {
		f.inject(Read)
		f.inject(Write)
		if f.closed {
			return
		}
	}
	f.closing = true
	f.delay()
	last := f.ways[Read].out
	lastEnd := f.ways[Read].outEnd
	for dir := range f.ways {
		f.ways[dir].drop()
	}
	shut := func() { f.host.Close(how, "moe."+f.reg.Name+": "+a.reason) }
	if how == Abort || f.writing == 0 || len(last) == 0 && !lastEnd {
		shut()
		return
	}
	f.postpone(op{kind: opCall, run: func() { // what was injected before goes first
		f.ways[Read].out, f.ways[Read].outEnd = last, lastEnd
		f.inject(Read)
		f.ways[Read].out, f.ways[Read].outEnd = nil, false
		if !f.closed {
			shut()
		}
	}})
}

// drop drops what the direction has kept.
func (w *way) drop() {
	w.queue, w.held, w.out = nil, nil, nil
	w.queueEnd, w.outEnd = false, false
	w.gone()
}

// misuse closes a connection whose filter returned what it must not.
func (f *Flow) misuse(what string) {
	f.log.Error("misuse: the filter " + what + "; the connection is closed")
	f.finish(Reset("misuse"))
}

// Fault closes the connection after a panic of the framework's own.
func (f *Flow) Fault() { f.finish(Reset("framework panic")) }

// Watermark tells that what waits for the client has come to be too much, or little again.
func (f *Flow) Watermark(above bool) {
	if p := f.ways[Write].pipe; p != nil {
		p.watermark(above)
	}
}

// Closed is the end of the connection.
func (f *Flow) Closed(by Closer) {
	if f.closed {
		return
	}
	f.closed = true
	if f.implements(WantClose) && !f.unmade {
		f.call("OnClose", func() Action {
			f.filter.(CloseHandler).OnClose(f.conn, by)
			return Continue
		})
	}
	f.End()
}

// End ends the flow: nothing is called any more, and whoever waits gets ErrDone.
func (f *Flow) End() {
	f.closed = true
	f.mu.Lock()
	over, cancel := f.over, f.cancel
	f.over, f.ops = true, nil
	for t := range f.timers {
		t.timer.Stop()
	}
	f.timers = nil
	f.mu.Unlock()
	if over {
		return
	}
	f.postponed = nil
	if cancel != nil {
		cancel(ErrDone)
	}
	for dir := range f.ways {
		f.ways[dir].drop()
		if p := f.ways[dir].pipe; p != nil {
			p.fail(ErrDone)
		}
		if s := f.ways[dir].waiting; s != nil {
			s.timer.Stop()
		}
	}
	if f.connecting != nil {
		f.connecting.timer.Stop()
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
func (f *Flow) fenced(what string, run func() Action) (a Action) {
	returned := false
	defer func() {
		fault := guard.Recovered(recover(), returned)
		if fault == nil {
			return
		}
		text, _ := guard.Text(fault.Value)
		f.log.Error("panic in "+what+" of the network filter "+f.reg.Name, "value", text, "stack", string(fault.Stack))
		f.host.Panicked()
		a = Reset("panic")
	}()
	a = run()
	returned = true
	return a
}
