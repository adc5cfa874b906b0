package mosn

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"mosn.io/api"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/pkg/variable"
)

// internals is the door for the framework's own packages.
var internals = filter.Internals(core.Internal{})

// destroyAfter is how long the end of a stream waits for a filter that still runs before it calls OnDestroy beside it.
// MOSN calls OnDestroy when the filter has returned, and a filter may rely on that; one that waits for its own OnDestroy,
// as MOSN's fault does, would never return.
const destroyAfter = time.Second

// stage is where a stream stands.
type stage uint8

const (
	idle      stage = iota // no filter runs
	receiving              // the request's filters run
	sending                // the response's filters run
	over                   // the stream has ended
)

// stream is one stream's filters and what MOSN's API shows them of it.
type stream struct {
	plugin *Filters
	s      filter.Stream
	ctx    context.Context // what filters are given
	later  func(func() filter.Action)
	begun  time.Time

	next  int // index of the receiver that runs next: MOSN keeps it from one phase to the next
	phase api.ReceiverFilterPhase

	called string // the type of the filter that was called last
	first  firstLine
	peer   peer

	info     info
	conn     connection
	ways     route
	parent   parentContext
	receiver receiveHandler
	sender   sendHandler
	forwards atomic.Bool // a filter has set a variable for the router

	making    sync.Mutex
	mu        sync.Mutex
	made      bool      // the filters are there
	filters   collected // changed once, by the first run
	stage     stage
	running   bool // filters run, or are about to on a goroutine
	destroyed bool
	reply     *reply // what a filter has answered
	request   message
	response  message
}

func newStream(f *Filters, s filter.Stream) *stream {
	st := &stream{plugin: f, s: s, begun: time.Now(), later: internals.Later(s)}
	st.info.st, st.conn.st, st.ways.st, st.parent.st, st.receiver.st, st.sender.st = st, st, st, st, st, st
	return st
}

// OnRequestHeaders runs the filters, or waits for the body that they read.
func (st *stream) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, end bool) filter.Action {
	st.first.read(h)
	switch {
	case !st.plugin.shared.shape.receives:
		return filter.Continue
	case st.plugin.wants().request() && !end && h.Upgrade() == "":
		return filter.WaitBody
	}
	return st.run(receiving, func() filter.Action { return st.receive(filter.Body{}, false) })
}

// OnRequest runs the filters.
func (st *stream) OnRequest(s filter.Stream, h filter.RequestHeaders, b filter.Body) filter.Action {
	return st.run(receiving, func() filter.Action { return st.receive(b, true) })
}

// OnRequestTrailers sends on what filters have made of the trailers.
func (st *stream) OnRequestTrailers(s filter.Stream, t filter.Headers) filter.Action {
	st.request.applyTrailers(t)
	return filter.Continue
}

// OnResponseHeaders is OnRequestHeaders for the response.
func (st *stream) OnResponseHeaders(s filter.Stream, h filter.ResponseHeaders, end bool) filter.Action {
	if st.plugin.wants().response() && !end && s.RequestHeaders().Upgrade() == "" {
		return filter.WaitBody
	}
	return st.run(sending, func() filter.Action { return st.send(h, filter.Body{}, false) })
}

// OnResponse runs the filters of the response.
func (st *stream) OnResponse(s filter.Stream, h filter.ResponseHeaders, b filter.Body) filter.Action {
	return st.run(sending, func() filter.Action { return st.send(h, b, true) })
}

// OnResponseTrailers sends on what filters have made of the trailers.
func (st *stream) OnResponseTrailers(s filter.Stream, t filter.Headers) filter.Action {
	st.response.applyTrailers(t)
	return filter.Continue
}

// OnComplete writes the filters' access logs and destroys them: as they run, on Envoy's thread or off it.
func (st *stream) OnComplete(s filter.Stream) {
	st.mu.Lock()
	st.stage = over
	running, made := st.running, st.made
	st.mu.Unlock()
	if running {
		time.AfterFunc(destroyAfter, st.destroy)
	}
	logs := st.plugin.shared.shape.logs
	if !logs && (!made || running) {
		return
	}
	var requestHeaders, responseHeaders api.HeaderMap
	if logs {
		requestHeaders, responseHeaders = copyOf(s.RequestHeaders().Headers), copyOf(s.ResponseHeaders().Headers)
		st.info.freeze(st)
	}
	finish := func(context.Context) {
		if logs {
			st.log(requestHeaders, responseHeaders)
		}
		if !running {
			st.destroy()
		}
	}
	if st.plugin.pace.blocks.Load() && st.plugin.env.Go(finish) {
		return
	}
	finish(context.Background())
}

// log writes the access logs.
func (st *stream) log(requestHeaders, responseHeaders api.HeaderMap) {
	st.guarded("", "CreateFilterChain", st.create)
	w := st.watch()
	for _, l := range st.filters.logs {
		st.guarded(l.typ, "Log", func() { l.Log(st.ctx, requestHeaders, responseHeaders, &st.info) })
		w.lap(l.typ)
	}
}

// create makes the stream's filters, once.
func (st *stream) create() {
	st.making.Lock()
	defer st.making.Unlock()
	if st.made {
		return
	}
	st.ctx = newContext(&st.parent)
	made := collected{}
	w := st.watch()
	for _, f := range st.plugin.shared.list {
		made.typ, st.called = f.typ, f.typ
		f.CreateFilterChain(st.ctx, &made)
		w.lap(f.typ)
	}
	for _, r := range made.receivers {
		r.filter.SetReceiveFilterHandler(&st.receiver)
	}
	for _, s := range made.senders {
		s.filter.SetSenderFilterHandler(&st.sender)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.filters, st.made = made, true
	if st.stage == over && st.running { // the call of destroy that OnComplete arranged may have found no filters
		time.AfterFunc(destroyAfter, st.destroy)
	}
}

// run runs f, in which filters run: on the stream's thread, or on a goroutine if one of them may block.
func (st *stream) run(s stage, f func() filter.Action) filter.Action {
	if !st.plugin.pace.blocks.Load() {
		st.enter(s)
		defer st.leave()
		defer st.blame()
		return f()
	}
	st.prefetch()
	st.reach(s) // at once, since other goroutines may ask before this one runs
	return filter.Go(func(context.Context) filter.Action {
		st.parent.own()
		st.enter(s)
		defer st.leave()
		defer st.blame()
		return f()
	})
}

// enter begins a run of filters, and leave ends it.
func (st *stream) enter(s stage) {
	st.reach(s)
	st.mu.Lock()
	st.running = true
	st.mu.Unlock()
}

// reach notes how far the stream is.
func (st *stream) reach(s stage) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.stage != over {
		st.stage = s
	}
}

func (st *stream) leave() {
	st.mu.Lock()
	ended := st.stage == over
	st.running = false
	if !ended {
		st.stage = idle
	}
	st.mu.Unlock()
	if ended {
		st.destroy()
	}
}

// destroy tells the filters that the stream is over, once they are there.
func (st *stream) destroy() {
	st.mu.Lock()
	due, filters := st.made && !st.destroyed, st.filters
	st.destroyed = st.destroyed || due
	st.mu.Unlock()
	if !due {
		return
	}
	w := st.watch()
	for _, r := range filters.receivers {
		st.guarded(r.typ, "OnDestroy", r.filter.OnDestroy)
		w.lap(r.typ)
	}
	for _, s := range filters.senders {
		st.guarded(s.typ, "OnDestroy", s.filter.OnDestroy)
		w.lap(s.typ)
	}
}

// receive runs the filters of the request.
func (st *stream) receive(b filter.Body, whole bool) filter.Action {
	st.request.arrive(st.s.RequestHeaders().Headers)
	if whole {
		st.request.take(b)
		st.request.takeTrailers(st.s.RequestTrailers())
	}
	st.create()

	w := st.watch()
	for _, phase := range []api.ReceiverFilterPhase{api.BeforeRoute, api.AfterRoute, api.AfterChooseHost} {
		st.phase = phase
		before := st.routed()
		if action, done := st.receivePhase(phase, &w); done {
			return action
		}
		if phase == api.BeforeRoute && before != st.routed() { // MOSN chooses the route after this phase
			_ = st.s.ClearRouteCache()
		}
	}
	st.forwardMetadata()
	if r := st.settle(); r != nil {
		return st.answer(r)
	}
	if whole {
		return st.request.give(b)
	}
	return filter.Continue
}

// mostRounds is how often a filter may have a phase begin again, as in MOSN.
const mostRounds = 10

// receivePhase runs the filters of one phase. done is true where the request does not go on.
func (st *stream) receivePhase(phase api.ReceiverFilterPhase, w *watch) (action filter.Action, done bool) {
	for range mostRounds {
		status := st.runReceivers(phase, w)
		if status == api.StreamFiltertermination {
			return filter.Reset("a MOSN filter has terminated the stream"), true
		}
		st.applyFirstLine()
		if r := st.takeReply(); r != nil {
			return st.answer(r), true
		}
		switch {
		case status == api.StreamFilterReMatchRoute && phase == api.AfterRoute:
			_ = st.s.ClearRouteCache()
		case status == api.StreamFilterReChooseHost && phase == api.AfterChooseHost:
		default:
			return filter.Continue, false
		}
	}
	return filter.Fail(errTooManyRounds), true
}

// runReceivers calls the filters of a phase until one stops it. MOSN does not take a filter that wants a phase again for
// done, and begins with it then.
func (st *stream) runReceivers(phase api.ReceiverFilterPhase, w *watch) api.StreamFilterStatus {
	for ; st.next < len(st.filters.receivers); st.next++ {
		r := &st.filters.receivers[st.next]
		if r.phase != phase {
			continue
		}
		st.request.block.begin()
		st.called = r.typ
		status := r.filter.OnReceive(st.ctx, st.request.headers, st.request.buffer(), st.request.trailers)
		w.lap(r.typ)
		switch status {
		case api.StreamFilterStop, api.StreamFiltertermination:
			st.next = 0
			return status
		case api.StreamFilterReMatchRoute, api.StreamFilterReChooseHost:
			return status
		}
	}
	st.next = 0
	return api.StreamFilterContinue
}

// send runs the filters of the response.
func (st *stream) send(h filter.ResponseHeaders, b filter.Body, whole bool) filter.Action {
	st.response.arrive(h.Headers)
	if whole {
		st.response.take(b)
		st.response.takeTrailers(st.s.ResponseTrailers())
	}
	st.create()
	status := h.Status()
	st.info.respond(status)
	_ = variable.SetString(st.ctx, varStatus, strconv.Itoa(status))
	if st.runSenders() == api.StreamFiltertermination {
		return filter.Reset("a MOSN filter has terminated the stream")
	}
	if r := st.settle(); r != nil {
		return r.action(st)
	}
	if now := st.status(); now != status && now != 0 {
		h.SetStatus(now)
	}
	if whole {
		return st.response.give(b)
	}
	return filter.Continue
}

// runSenders calls the filters of the response until one stops it.
func (st *stream) runSenders() api.StreamFilterStatus {
	w := st.watch()
	for _, s := range st.filters.senders {
		if s.phase != api.BeforeSend {
			continue
		}
		st.called = s.typ
		status := s.filter.Append(st.ctx, st.response.headers, st.response.buffer(), st.response.trailers)
		w.lap(s.typ)
		switch status {
		case api.StreamFilterStop, api.StreamFiltertermination:
			return status
		case api.StreamFilterReMatchRoute, api.StreamFilterReChooseHost:
			st.s.Log().Error("a MOSN filter asks for another route or host when the response has come; the phase ends",
				"status", string(status))
			return status
		}
	}
	return api.StreamFilterContinue
}

// takeReply returns what a filter has answered, once.
func (st *stream) takeReply() *reply {
	st.mu.Lock()
	defer st.mu.Unlock()
	r := st.reply
	st.reply = nil
	return r
}

// settle is takeReply at the end of a run: when it returns nil, a reply is too late.
func (st *stream) settle() *reply {
	st.mu.Lock()
	defer st.mu.Unlock()
	r := st.reply
	st.reply = nil
	if r == nil && st.stage != over {
		st.stage = idle
	}
	return r
}
