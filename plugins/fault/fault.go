// Package fault delays, aborts and slows down requests, to find out what others make of it.
package fault

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/match"
)

// Fault injects faults into a share of the requests that it is for.
type Fault struct {
	match.Match
	// Delay holds requests back.
	Delay *Delay `json:"delay"`
	// Abort answers requests with an error.
	Abort *Abort `json:"abort"`
	// Bandwidth slows bodies down.
	Bandwidth *Bandwidth `json:"bandwidth"`
	// ByHeader has requests ask for faults of their own.
	ByHeader *ByHeader `json:"byHeader"`
	// MaxActive is how many requests may be delayed or slowed down at a time. Others pass without a fault.
	MaxActive int64 `json:"maxActive" default:"1000" validate:"min=1,max=1000000"`

	path   authz.Path
	active atomic.Int64
	counts counts
}

// Share is which of the requests have a fault.
type Share struct {
	// Percentage is how many of a hundred requests have the fault, by chance: 0.01 is one of 10,000.
	Percentage float64 `json:"percentage" default:"100" validate:"min=0,max=100"`
}

// Delay holds requests back.
type Delay struct {
	Share
	// For is how long a request is held back.
	For time.Duration `json:"for"`
	// Jitter is how much longer it is held back at most, by chance.
	Jitter time.Duration `json:"jitter"`
}

// Abort answers requests, or resets them.
type Abort struct {
	Share
	// Status is that of the reply.
	Status int `json:"status" default:"503" validate:"min=200,max=599"`
	// GRPCStatus is the grpc-status of the reply to a request of gRPC. By default it is what Envoy makes of status.
	GRPCStatus *int `json:"grpcStatus" validate:"omitempty,min=0,max=16"`
	// Body is the text of the reply.
	Body string `json:"body" default:"fault injected"`
	// Reset ends the request without a reply.
	Reset bool `json:"reset"`
}

// Bandwidth slows bodies down.
type Bandwidth struct {
	Share
	// Request is how many bytes of a request's body pass in a second; 0: all at once.
	Request filter.Size `json:"request" validate:"min=0"`
	// Response is how many bytes of a response's body pass in a second; 0: all at once.
	Response filter.Size `json:"response" validate:"min=0"`
}

// ByHeader has requests ask for faults, by the headers that Envoy's own fault filter reads.
type ByHeader struct {
	// MaxDelay is the longest delay that x-envoy-fault-delay-request may ask for, in milliseconds; 0: none.
	MaxDelay time.Duration `json:"maxDelay"`
	// Statuses lists those that x-envoy-fault-abort-request may ask for.
	Statuses []int `json:"statuses" validate:"max=400,dive,min=200,max=599"`
	// MinBandwidth is the lowest number of bytes in a second that x-envoy-fault-throughput-response may ask for, in KiB;
	// 0: none.
	MinBandwidth filter.Size `json:"minBandwidth" validate:"min=0"`
}

type counts struct {
	delayed, aborted, slowed, overflowed, failed, refused *filter.Counter
	active                                                *filter.Gauge
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.RegisterPerStream("fault", filter.Traffic, (*Fault).newStream, filter.Docs(docs))
}

// longest is how long a request may be held back: less than a chain's time-out by default.
const longest = 25 * time.Second

// slowest is the lowest bandwidth, in bytes a second.
const slowest = 16

// Validate checks the faults.
func (p *Fault) Validate() error {
	errs := []error{p.Match.Validate()}
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if p.Delay == nil && p.Abort == nil && p.Bandwidth == nil && p.ByHeader == nil {
		bad("delay, abort, bandwidth and byHeader are all missing: give one fault")
	}
	if d := p.Delay; d != nil && (d.For < 0 || d.Jitter < 0 || d.For+d.Jitter <= 0 || d.For+d.Jitter > longest) {
		bad("delay.for: for and jitter together must be more than 0s and %v at most", longest)
	}
	if b := p.Bandwidth; b != nil {
		if b.Request == 0 && b.Response == 0 {
			bad("bandwidth.response: is required, or request")
		}
		for _, n := range []filter.Size{b.Request, b.Response} {
			if n > 0 && n < slowest {
				bad("bandwidth: must be %d bytes a second at least", slowest)
			}
		}
	}
	if h := p.ByHeader; h != nil {
		if h.MaxDelay < 0 || h.MaxDelay > longest {
			bad("byHeader.maxDelay: must be 0s to %v", longest)
		}
		if h.MinBandwidth > 0 && h.MinBandwidth < slowest {
			bad("byHeader.minBandwidth: must be %d bytes a second at least", slowest)
		}
		if h.MaxDelay == 0 && len(h.Statuses) == 0 && h.MinBandwidth == 0 {
			bad("byHeader.maxDelay: is required, or statuses or minBandwidth")
		}
	}
	return errors.Join(errs...)
}

// Provision declares the counters.
func (p *Fault) Provision(env *filter.Env) error {
	p.path = authz.Path{Mode: "normalize"}
	p.counts = counts{
		delayed: env.Counter("delayed"), aborted: env.Counter("aborted"), slowed: env.Counter("slowed"),
		overflowed: env.Counter("overflowed"), failed: env.Counter("failed"), refused: env.Counter("refused"),
		active: env.Gauge("active"),
	}
	return nil
}

// hit draws whether a request is among the share.
func (s *Share) hit() bool { return s.Percentage >= 100 || rand.Float64()*100 < s.Percentage }

// stream remembers how fast the response may be.
type stream struct {
	p        *Fault
	response filter.Size
}

func (p *Fault) newStream(filter.Stream) *stream { return &stream{p: p} }

// OnRequestHeaders draws the faults.
func (st *stream) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, endStream bool) filter.Action {
	p := st.p
	r, _ := p.path.Request(s, h) // no path is ambiguous to the mode normalize
	is, err := p.Is(&r)
	if err != nil {
		p.counts.failed.Inc()
		s.Log().Warn("the expression when fails", "error", err)
	}
	f := faults{}
	if is {
		f = p.draw()
		if p.ByHeader != nil {
			p.ByHeader.read(h, &f, p.counts.refused)
		}
	}
	if p.ByHeader != nil {
		removeHeaders(h)
	}
	st.response = f.response
	after := func() filter.Action { return p.after(h, &f, endStream) }
	if f.delay <= 0 {
		return after()
	}
	if p.active.Load() >= p.MaxActive { // a flood costs no goroutines
		p.counts.overflowed.Inc()
		return after()
	}
	return filter.Go(func(ctx context.Context) filter.Action { // which does not run for a stream that has ended meanwhile
		if !p.enter() {
			return after()
		}
		defer p.leave()
		p.counts.delayed.Inc()
		if !sleep(ctx, f.delay) {
			return filter.Continue // what is returned now is ignored
		}
		return after()
	})
}

// faults are those of one request.
type faults struct {
	delay             time.Duration
	abort             *filter.Action
	request, response filter.Size // bytes a second
}

// draw returns the faults that chance gives a request.
func (p *Fault) draw() (f faults) {
	if d := p.Delay; d != nil && d.hit() {
		f.delay = d.For
		if d.Jitter > 0 {
			f.delay += rand.N(d.Jitter + 1)
		}
	}
	if a := p.Abort; a != nil && a.hit() {
		action := a.action()
		f.abort = &action
	}
	if b := p.Bandwidth; b != nil && b.hit() {
		f.request, f.response = b.Request, b.Response
	}
	return f
}

func (a *Abort) action() filter.Action {
	if a.Reset {
		return filter.Reset("fault injected")
	}
	options := []filter.ReplyOption{filter.WithDetails("moe.fault.abort")}
	if a.GRPCStatus != nil {
		options = append(options, filter.WithGRPCStatus(*a.GRPCStatus))
	}
	return filter.Reply(a.Status, a.Body, options...)
}

// after is what becomes of a request when its delay is over.
func (p *Fault) after(h filter.RequestHeaders, f *faults, endStream bool) filter.Action {
	if f.abort != nil {
		p.counts.aborted.Inc()
		return *f.abort
	}
	if f.request > 0 && !endStream && h.Upgrade() == "" {
		return p.slow(f.request)
	}
	return filter.Continue
}

// OnResponseHeaders slows the response down.
func (st *stream) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, endStream bool) filter.Action {
	if st.response == 0 || endStream || h.Status() == 101 {
		return filter.Continue
	}
	return st.p.slow(st.response)
}

// enter reports whether one more request may be held back.
func (p *Fault) enter() bool {
	if p.active.Add(1) > p.MaxActive {
		p.active.Add(-1)
		p.counts.overflowed.Inc()
		return false
	}
	p.counts.active.Add(1)
	return true
}

func (p *Fault) leave() {
	p.active.Add(-1)
	p.counts.active.Add(-1)
}
