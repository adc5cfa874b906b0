// Package debugview shows, for chosen requests, what the plugins of a chain have done: which ran, in which order, what
// each changed, how long it took and what it waited for. It shows names, sizes and times, and never a value.
//
// A View observes the streams of one chain. What it shows goes out as a Server-Timing header in the response, and as a
// [Record] in the log.
package debugview

import (
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// Options say which requests are shown, and how.
type Options struct {
	// Token, unless it is nil, has requests chosen that bring a token of its key.
	Token *Token
	// Header, unless it is nil, has requests chosen that have a header, from networks that may.
	Header *Header
	// Sample is the share of all requests, from 0 to 1, that are recorded by chance.
	Sample float64
	// ServerTiming adds a Server-Timing header to the response of requests that were chosen by Token or Header. Clients
	// who did not ask see none, because it names the plugins.
	ServerTiming bool
	// Record logs what was chosen.
	Record bool
	// Slow, unless it is 0, logs every request whose plugins took as long together, as a warning.
	Slow time.Duration
	// Leads and Follows are those of chain.Part: the part that begins chooses for those that follow, and each shows its own
	// plugins.
	Leads, Follows bool
	// Log takes the records.
	Log *slog.Logger
}

// Token is how a client proves that it may ask; see [Sign].
type Token struct {
	Header string // in lower case; it does not go on to the upstream
	Key    filter.Secret
}

// Header is how a client asks that need not prove more than where it is.
type Header struct {
	Name     string         // in lower case
	Networks []netip.Prefix // of the client, by Envoy's rules
}

// View shows what the plugins of one chain do.
type View struct {
	o    Options
	pool sync.Pool
}

// New returns a View.
func New(o Options) *View {
	v := &View{o: o}
	v.pool.New = func() any { return &stream{view: v} }
	return v
}

// reason is why a request was chosen.
type reason string

const (
	unchosen reason = ""
	byToken  reason = "token"
	byHeader reason = "header"
	bySample reason = "sample"
	bySlow   reason = "slow"
)

// Watch is chain.Options.Watch.
func (v *View) Watch(st *chain.Stream) chain.Observer {
	why := v.choose(st)
	if why == unchosen && v.o.Slow == 0 {
		return nil
	}
	s := v.pool.Get().(*stream)
	s.begin(st, why)
	return s
}

// partKey is where in [core.PartNamespace] a part of a chain tells the next why the request was chosen.
const partKey = "debug"

func (v *View) choose(st *chain.Stream) reason {
	s := internals.Stream(&st.Stream, 0)
	if v.o.Follows {
		why, _ := s.Metadata(core.PartNamespace, partKey)
		text, _ := why.(string)
		return reason(text)
	}
	why := v.chosen(st, s)
	if v.o.Leads && why != unchosen {
		_ = s.SetMetadata(core.PartNamespace, partKey, string(why)) // without metadata, the parts after do not show it
	}
	return why
}

func (v *View) chosen(st *chain.Stream, s filter.Stream) reason {
	h := s.RequestHeaders()
	why := unchosen
	if t := v.o.Token; t != nil {
		tokens := h.Values(t.Header)
		if len(tokens) == 1 && Verify(t.Key.Reveal(), tokens[0], time.Now()) == nil {
			why = byToken
		}
		if len(tokens) > 0 {
			st.RemoveRequestHeader(t.Header)
		}
	}
	switch {
	case why != unchosen:
	case v.o.Header != nil && h.Has(v.o.Header.Name) && v.o.Header.allows(s.RemoteAddr().Addr()):
		why = byHeader
	case v.o.Sample > 0 && rand.Float64() < v.o.Sample:
		why = bySample
	}
	return why
}

func (h *Header) allows(a netip.Addr) bool {
	return a.IsValid() && slices.ContainsFunc(h.Networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

var internals = filter.Internals(core.Internal{})
