package chain

import (
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/guard"
)

// lateReply is a plugin's wish to reply outside its phases: see Later of filter.Internals.
type lateReply struct {
	plugin index
	f      func() core.Action
}

// replyLater is what core.Stream.Later is set to.
func (st *Stream) replyLater(plugin int) func(func() core.Action) {
	gen, sink := st.Gen, st.sink
	return func(f func() core.Action) {
		st.post(gen, sink, func() {
			st.runs++
			ok := false
			defer st.endRun(&st.d[Response], &ok)
			st.late = append(st.late, lateReply{index(plugin), f})
			st.replyAllLate()
			ok = true
		})
	}
}

// replyAllLate carries out the wishes whose time has come. It is called with both directions at rest: after a wish has
// been added, and after a function of Go has been waited for.
func (st *Stream) replyAllLate() {
	for i := 0; i < len(st.late); {
		if l := st.late[i]; st.deciding(Request, l.plugin) || st.deciding(Response, l.plugin) {
			i++ // what the function decides goes first
		} else {
			st.late = append(st.late[:i], st.late[i+1:]...)
			st.replyLateNow(l)
		}
	}
}

// deciding reports whether a function that plugin gave to Go, to decide about headers, runs.
func (st *Stream) deciding(dir core.Direction, plugin index) bool {
	d := &st.d[dir]
	return d.suspended && (d.stage == atHeaders || d.stage == atWhole) && d.index(d.at) == plugin
}

// replyLateNow asks l for a reply where no response has begun, or where its plugin holds the response's headers. In all
// other cases the response is with a plugin after it, and will come to it, or it is past.
func (st *Stream) replyLateNow(l lateReply) {
	response := &st.d[Response]
	d, at := &st.d[Request], position(l.plugin)
	switch {
	case st.over || st.Replied || response.sent || response.suspended || response.stage != idle || !response.queue.empty():
		return
	case response.held.holds:
		if response.index(response.held.by) != l.plugin {
			return
		}
		d, at = response, response.held.by
		response.at = at
	}
	st.runs++
	ok := false
	defer st.endRun(response, &ok)
	a, returned := st.callLate(l)
	switch {
	case st.over:
	case !returned:
		st.reply(d, at, failed, st.chain.details[l.plugin]+".panic")
	case a.Kind == core.Reply:
		st.replied(d, l.plugin, at, a.P)
	case a.Kind == core.Reset:
		st.reset(a.P.Details)
	}
	st.loop(response)
	ok = true
}

func (st *Stream) callLate(l lateReply) (a core.Action, returned bool) {
	defer func() {
		if v := guard.Recovered(recover(), returned); v != nil {
			st.panicIn(l.plugin, "a late reply", v)
		}
	}()
	a = l.f()
	returned = true
	return a, returned
}
