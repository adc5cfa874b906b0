package chain

import "mosn.io/moe/framework/internal/core"

// later is a plugin's wish to reply outside its phases, as filter.Later describes it.
type later struct {
	plugin int
	f      func() core.Action
}

// addLater is what core.Stream.Later is set to.
func (st *Stream) addLater(plugin int) func(func() core.Action) {
	gen, sink := st.Gen, st.sink
	return func(f func() core.Action) {
		st.post(gen, sink, func() {
			st.depth++
			defer st.leave(Response)
			st.laters = append(st.laters, later{plugin, f})
			st.runLaters()
		})
	}
}

// runLaters carries out the wishes whose time has come. It is called with both directions at rest: after a wish has
// been added, and after a function of Go has been waited for.
func (st *Stream) runLaters() {
	for i := 0; i < len(st.laters); {
		if l := st.laters[i]; st.deciding(Request, l.plugin) || st.deciding(Response, l.plugin) {
			i++ // what the function decides goes first
		} else {
			st.laters = append(st.laters[:i], st.laters[i+1:]...)
			st.late(l)
		}
	}
}

// deciding reports whether a function that plugin gave to Go, to decide about headers, runs.
func (st *Stream) deciding(di core.Direction, plugin int) bool {
	d := &st.d[di]
	return d.susp && (d.stage == atHeaders || d.stage == atWhole) && d.plugin(di, d.idx) == plugin
}

// late asks l for a reply where no response has begun, or where its plugin holds the response's headers. In all other
// cases the response is with a plugin after it, and will come to it, or it is past.
func (st *Stream) late(l later) {
	d, di := &st.d[Response], Request
	switch {
	case st.over || st.Replied || d.sent || d.susp || d.stage != idle || d.qhead < len(d.queue):
		return
	case d.hold >= 0:
		if d.plugin(Response, d.hold) != l.plugin {
			return
		}
		d.idx, di = d.hold, Response
	}
	st.depth++
	defer st.leave(Response)
	pos := l.plugin
	if di == Response {
		pos = d.hold
	}
	a, ok := st.guarded(l)
	switch {
	case st.over:
	case !ok:
		st.reply(di, pos, failed, st.chain.details[l.plugin]+".panic")
	case a.Kind == core.Reply:
		st.replied(di, l.plugin, pos, a.P)
	case a.Kind == core.Reset:
		st.reset(a.P.Details)
	}
	st.loop(Response, d)
}

func (st *Stream) guarded(l later) (a core.Action, ok bool) {
	defer func() {
		if v := recover(); v != nil {
			st.panicIn(l.plugin, "a late reply", v)
		}
	}()
	return l.f(), true
}
