package chain

import (
	"fmt"
	"runtime/debug"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

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
func (st *Stream) deciding(di, plugin int) bool {
	d := &st.d[di]
	return d.susp && (d.stage == atHeaders || d.stage == atWhole) && st.plugin(di, d.idx) == plugin
}

// late asks l for a reply where no response has begun, or where its plugin holds the response's headers. In all other
// cases the response is with a plugin after it, and will come to it, or it is past.
func (st *Stream) late(l later) {
	d, di := &st.d[Response], Request
	switch {
	case st.over || st.Replied || d.sent || d.susp || d.stage != idle || len(d.queue) > 0:
		return
	case d.hold >= 0:
		if st.plugin(Response, d.hold) != l.plugin {
			return
		}
		d.idx, di = d.hold, Response
	}
	switch a := st.guarded(l); a.Kind {
	case core.Reply:
		if st.reply(di, l.plugin, a.P); di == Response && !st.over {
			st.run(Response)
		}
	case core.Reset:
		st.over = true
		st.sink.Reset(a.P.Details)
	}
}

func (st *Stream) guarded(l later) (a core.Action) {
	defer func() {
		if v := recover(); v != nil {
			st.report(l.plugin, fmt.Sprintf("panics: %v\n%s", v, debug.Stack()))
			a = filter.CoreAction(filter.Fail(fmt.Errorf("panic: %v", v)))
		}
	}()
	return l.f()
}
