package mosn

import "mosn.io/moe/framework/internal/guard"

// filterPanic is the value of a panic in a filter, with the filter's type, which neither the value nor the chain knows.
type filterPanic struct {
	typ   string
	value any
}

func (p *filterPanic) String() string {
	text, _ := guard.Text(p.value)
	return p.typ + ": " + text
}

// blame is to be deferred where filters run: a panic goes on with the type of the filter that was called last.
func (st *stream) blame() {
	if v := recover(); v != nil {
		blameOn(st.called, v)
	}
}

// blameOn has a panic go on with the type of the filter that it was in.
func blameOn(typ string, v any) {
	fault := guard.Recovered(v, false)
	panic(&guard.Fault{Value: &filterPanic{typ, fault.Value}, Stack: fault.Stack})
}

// guarded calls what has no phase to fail any more.
func (st *stream) guarded(typ, in string, f func()) {
	defer func() {
		if v := recover(); v != nil {
			fault := guard.Recovered(v, false)
			text, _ := guard.Text(fault.Value)
			st.plugin.env.Log().Error("a MOSN filter panicked", "type", typ, "in", in, "panic", text, "stack", string(fault.Stack))
		}
	}()
	f()
}
