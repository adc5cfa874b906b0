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
	kinds  []uint8  // by plugin; nil where no plugin authenticates
	before []int    // how many schemes are before the plugin
	end    position // after the last one
}

// tried is what a stream's plugins that authenticate have found.
type tried struct {
	absent  []unauthenticated
	skipped int
	who     *filter.Consumer // of the first scheme that set one
	two     bool             // another scheme set another one
	last    bool             // the plugin for requests without credentials had its turn
	done    bool
}

// unauthenticated is a plugin that found no credential, and what it would reply.
type unauthenticated struct {
	plugin index
	reply  *core.Payload
}

// reset makes t ready for another stream.
func (t *tried) reset() {
	clear(t.absent)
	*t = tried{absent: t.absent[:0]}
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
		s.kinds, s.before = append(s.kinds, kind), append(s.before, n)
		if kind == scheme {
			n++
		}
		if kind != noScheme {
			s.end = position(i + 1)
		}
	}
	if s.end == never {
		s.kinds = nil
	}
	return s
}

// passedSchemes is how many of the schemes before plugin i have let the request pass.
func (st *Stream) passedSchemes(i index) int {
	return st.chain.schemes.before[i] - len(st.tried.absent) - st.tried.skipped
}

// skips reports whether plugin i, which authenticates, need not be asked.
func (st *Stream) skips(i index) bool {
	st.noteConsumer()
	passed := st.passedSchemes(i)
	if st.chain.schemes.kinds[i] == lastScheme {
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

// noteUnauthenticated notes that the plugin whose turn it is found no credential. It reports false where that plugin is to
// reply at once.
func (st *Stream) noteUnauthenticated(d *direction, r *core.Payload) bool {
	s := &st.chain.schemes
	if d.dir != Request || s.kinds == nil || s.kinds[d.at] != scheme || d.stage != atHeaders && d.stage != atWhole {
		return false
	}
	st.tried.absent = append(st.tried.absent, unauthenticated{d.index(d.at), r})
	return true
}

// twoConsumers answers credentials of two consumers where both are needed.
var twoConsumers = &core.Payload{
	Status: http.StatusUnauthorized, GRPC: -1, Body: []byte("the credentials are not one consumer's"),
	Details: "moe.authentication.two_consumers",
}

// authenticated decides, when the request has passed all schemes, whether it goes on. It reports false when it was
// answered.
func (st *Stream) authenticated(d *direction) bool {
	t := &st.tried
	t.done = true
	st.noteConsumer()
	last := st.chain.schemes.end - 1
	switch {
	case t.two && !st.home.options.AnyScheme:
		st.replied(d, index(last), last, twoConsumers)
	case len(t.absent) == 0 && t.skipped == 0 && !t.last: // every plugin has let the request pass
		st.stripUnread(true)
		return true
	case t.last, len(t.absent) == 0, st.home.options.AnyScheme && st.countSchemes() > len(t.absent)+t.skipped:
		st.stripUnread(false)
		return true
	default:
		u := t.refusal()
		st.replied(d, u.plugin, position(u.plugin), u.reply)
	}
	return false
}

func (st *Stream) countSchemes() int {
	s := &st.chain.schemes
	n := s.before[s.end-1]
	if s.kinds[s.end-1] == scheme {
		n++
	}
	return n
}

// refusal is the reply to a request that lacks credentials.
func (t *tried) refusal() unauthenticated {
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
