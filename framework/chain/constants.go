package chain

import (
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// constants are what the plugins of a chain do to headers without a phase; see filter.HeaderSetter.
type constants struct {
	of  [core.Directions][][]core.Constant // by plugin; nil where none has any
	all [core.Directions]*core.Constants   // of the chain, nil where it does more to these headers than that
	any bool                               // there are some in all
}

// headersPhases are the phases in whose place plugins may have constants.
var headersPhases = [core.Directions]phase.Set{
	core.Request:  phase.SetOf(phase.OnRequestHeaders),
	core.Response: phase.SetOf(phase.OnResponseHeaders),
}

// addConstants notes plugin i's constants, and returns the phases that they stand for.
func (c *Chain) addConstants(i int) (stands phase.Set) {
	of, err := internals.Constants(c.plugins[i].Config)
	if err != nil { // which assembly refuses
		c.loggers[i].Error("constant headers are left out: " + err.Error())
	}
	for dir, list := range of {
		if len(list) == 0 {
			continue
		}
		if c.constants.of[dir] == nil {
			c.constants.of[dir] = make([][]core.Constant, len(c.plugins))
		}
		c.constants.of[dir][i] = list
		stands |= headersPhases[dir]
	}
	return stands
}

// joinConstants makes what hosts may carry out by themselves: the constants of a direction in whose headers the chain has
// no other interest.
func (c *Chain) joinConstants() {
	o := &c.options
	if o.Watch != nil || c.resizes {
		return
	}
	var phases phase.Messages
	for _, has := range c.has {
		phases |= has.Wants()
	}
	for dir := range core.Directions {
		of := c.constants.of[dir]
		if of == nil || phases&phase.Headers(dir) != 0 {
			continue
		}
		if dir == Request && (!c.plain || o.Part != (Part{}) || c.schemes.kinds != nil || c.switchAt != never) {
			continue // the chain decides about requests
		}
		all := &core.Constants{}
		d := direction{dir: dir, n: position(len(of))}
		for at := range d.n {
			all.Append(of[d.index(at)]...)
		}
		c.constants.all[dir], c.constants.any = all, true
	}
}

// Constants returns what a host may do to the headers of dir, of a stream that has not begun, in place of feeding them to
// the chain, though [Chain.Wants] says that it wants them. Where the stream has begun, [Stream.Constants] tells. With nil the
// chain must see the headers.
func (c *Chain) Constants(dir core.Direction) *core.Constants {
	if c.options.Observe != nil || c.options.Part.Follows {
		return nil
	}
	return c.constants.all[dir]
}

// Constants is [Chain.Constants] for a stream that has begun. As with [Stream.Wants], a host asks after each call into the
// chain.
func (st *Stream) Constants(dir core.Direction) *core.Constants {
	all := st.chain.constants.all[dir]
	if all == nil || st.over || st.Replied || st.Observer != nil || st.broken != 0 || st.d[dir].sent || st.d[dir].stage != idle {
		return nil
	}
	if dir == Response && !st.requestDecided() {
		return nil // which plugins see the response is open yet, or whether there is another
	}
	return all
}

// requestDecided reports whether all plugins have passed the request on, and none can answer it any more from a phase.
func (st *Stream) requestDecided() bool {
	d, wants := &st.d[Request], st.chain.wants
	if d.wantsRest() {
		return false
	}
	unseen := !d.sent && (wants&phase.RequestHeaders == 0 || st.chain.constants.all[Request] != nil)
	if st.passed != d.n && (!unseen || st.home.options.Part.Follows) {
		return false
	}
	return d.headersEnd || wants&(phase.RequestBody|phase.RequestTrailers) == 0
}

// setConstants has plugin i's methods for headers, of which p are those that it has, carry out its constants first.
func (c *Chain) setConstants(i int, p *phases) {
	if of := c.constants.of[Request]; of != nil && len(of[i]) > 0 {
		p.reqH = &requestConstants{of[i], p.reqH, p.req != nil}
	}
	if of := c.constants.of[Response]; of != nil && len(of[i]) > 0 {
		p.respH = &responseConstants{of[i], p.respH, p.resp != nil}
	}
}

type requestConstants struct {
	all   []core.Constant
	then  filter.RequestHeadersHandler // may be nil
	whole bool                         // without it: the plugin takes the whole message
}

// OnRequestHeaders sets what is constant.
func (r *requestConstants) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, end bool) filter.Action {
	setAll(h.Headers, r.all)
	switch {
	case r.then != nil:
		return r.then.OnRequestHeaders(s, h, end)
	case r.whole:
		return filter.WaitBody
	}
	return filter.Continue
}

type responseConstants struct {
	all   []core.Constant
	then  filter.ResponseHeadersHandler // may be nil
	whole bool                          // without it: the plugin takes the whole message
}

// OnResponseHeaders sets what is constant.
func (r *responseConstants) OnResponseHeaders(s filter.Stream, h filter.ResponseHeaders, end bool) filter.Action {
	setAll(h.Headers, r.all)
	switch {
	case r.then != nil:
		return r.then.OnResponseHeaders(s, h, end)
	case r.whole:
		return filter.WaitBody
	}
	return filter.Continue
}

func setAll(h filter.Headers, all []core.Constant) {
	for _, k := range all {
		if k.Add {
			h.Add(k.Name, k.Value)
		} else {
			h.Set(k.Name, k.Value)
		}
	}
}
