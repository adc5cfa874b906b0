package chain

import (
	"net/http"
	"slices"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// Kinds of plugins, as far as authentication goes.
const (
	noScheme = iota
	scheme
	lastScheme
)

// schemes says which plugins authenticate; there is none in most chains.
type schemes struct {
	kinds []uint8 // by plugin; nil where no plugin authenticates
	index []int   // how many schemes are before the plugin
	end   int     // the position after the last one
}

// tried is what a stream's plugins that authenticate have found.
type tried struct {
	absent  []lack
	skipped int
	who     *filter.Consumer // of the first scheme that set one
	two     bool             // another scheme set another one
	last    bool             // the plugin for requests without credentials had its turn
	done    bool
}

// lack is a plugin that found no credential, and what it would reply.
type lack struct {
	plugin int
	reply  *core.Payload
}

func schemesOf(plugins []Plugin, implemented []phase.Set) schemes {
	s := schemes{end: never}
	n := 0
	for i, p := range plugins {
		kind := uint8(noScheme)
		switch {
		case implemented[i].Wants()&phase.RequestHeaders == 0: // it is not asked when the request comes
		case p.Reg.Scheme:
			kind = scheme
		case p.Reg.LastScheme:
			kind = lastScheme
		}
		s.kinds, s.index = append(s.kinds, kind), append(s.index, n)
		if kind == scheme {
			n++
		}
		if kind != noScheme {
			s.end = i + 1
		}
	}
	if s.end == never {
		s.kinds = nil
	}
	return s
}

// passed is how many of the schemes before plugin p have let the request pass.
func (st *Stream) passedSchemes(p int) int {
	return st.chain.schemes.index[p] - len(st.tried.absent) - st.tried.skipped
}

// skips reports whether plugin p, which is a scheme, need not be asked.
func (st *Stream) skips(p int) bool {
	st.noteConsumer()
	passed := st.passedSchemes(p)
	if st.chain.schemes.kinds[p] == lastScheme {
		st.tried.last = st.tried.last || passed == 0
		return passed > 0
	}
	if st.home.options.AnyScheme && passed > 0 {
		st.tried.skipped++
		return true
	}
	return false
}

// noteConsumer notices when two schemes have found two consumers.
func (st *Stream) noteConsumer() {
	st.Mu.Lock()
	c, _ := st.Consumer.(*filter.Consumer)
	st.Mu.Unlock()
	t := &st.tried
	switch {
	case c == nil:
	case t.who == nil:
		t.who = c
	case t.who.Name != c.Name:
		t.two = true
	}
}

// lacks notes that the plugin at d.idx found no credential. It reports false where that plugin is to reply at once.
func (st *Stream) lacks(di core.Direction, d *dir, r *core.Payload) bool {
	s := &st.chain.schemes
	if di != Request || s.kinds == nil || s.kinds[d.idx] != scheme || d.stage != atHeaders && d.stage != atWhole {
		return false
	}
	st.tried.absent = append(st.tried.absent, lack{d.idx, r})
	return true
}

// twoConsumers answers credentials of two consumers where both are needed.
var twoConsumers = &core.Payload{
	Status: http.StatusUnauthorized, GRPC: -1, Body: []byte("the credentials are not one consumer's"),
	Details: "moe.authentication.two_consumers",
}

// authenticated decides, when the request has passed all schemes, whether it goes on. It reports false when it was
// answered.
func (st *Stream) authenticated(d *dir) bool {
	t := &st.tried
	t.done = true
	st.noteConsumer()
	last := st.chain.schemes.end - 1
	switch {
	case t.two && !st.home.options.AnyScheme:
		st.replied(Request, last, last, twoConsumers)
	case len(t.absent) == 0 && t.skipped == 0 && !t.last: // every plugin has let the request pass
		return true
	case t.last, len(t.absent) == 0, st.home.options.AnyScheme && st.countSchemes() > len(t.absent)+t.skipped:
		st.stripUnread()
		return true
	default:
		l := t.refusal()
		st.replied(Request, l.plugin, l.plugin, l.reply)
	}
	return false
}

func (st *Stream) countSchemes() int {
	s := &st.chain.schemes
	n := s.index[s.end-1]
	if s.kinds[s.end-1] == scheme {
		n++
	}
	return n
}

// refusal is the reply to a request that lacks credentials.
func (t *tried) refusal() lack {
	for _, l := range t.absent {
		if l.reply.Status != http.StatusUnauthorized {
			return l
		}
	}
	first := t.absent[0]
	if len(t.absent) == 1 {
		return first
	}
	r := *first.reply
	r.Header = slices.Clone(r.Header)
	for _, l := range t.absent[1:] {
		for _, f := range l.reply.Header {
			if f.Name == "www-authenticate" && !slices.Contains(r.Header, f) {
				r.Header = append(r.Header, f)
			}
		}
	}
	first.reply = &r
	return first
}
