package debugview

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// stream observes one stream. Its memory is used again.
type stream struct {
	view *View
	st   *chain.Stream
	why  reason

	began   time.Time
	plugins time.Duration // of all steps
	steps   []step
	events  []event
	dropped int
}

// step is a phase of a plugin. What one phase does for each piece of a body is one step.
type step struct {
	chain.Observation // of the end of the first call, without Changed
	at                time.Duration
	calls             int
	changed           []Change
	changedMore       int
}

type event struct {
	chain.Observation
	at time.Duration
}

func (s *stream) begin(st *chain.Stream, why reason) {
	s.st, s.why, s.began = st, why, time.Now()
	if why != unchosen || s.view.o.Slow > 0 {
		st.ObserveHeaders()
	}
}

// Observe takes notes.
func (s *stream) Observe(o chain.Observation) {
	switch o.Kind {
	case chain.PhaseBegins:
		if s.find(&o) == nil {
			s.addStep(&o)
		}
	case chain.PhaseEnds:
		s.plugins += o.Took
		if p := s.find(&o); p != nil {
			p.add(&o)
		}
	case chain.WaitEnds:
		if o.Wait != chain.WaitsForGo { // which the step says
			s.addEvent(o)
		}
	case chain.StreamBegins, chain.WaitBegins:
	case chain.StreamEnds:
		s.end()
	default:
		s.addEvent(o)
	}
}

func (s *stream) find(o *chain.Observation) *step {
	for i := range s.steps {
		if p := &s.steps[i]; p.Phase == o.Phase && p.Plugin == o.Plugin {
			return p
		}
	}
	return nil
}

func (s *stream) addStep(o *chain.Observation) {
	if len(s.steps) >= maxSteps {
		s.dropped++
		return
	}
	at := len(s.steps)
	if at < cap(s.steps) { // with its memory for changes
		s.steps = s.steps[:at+1]
	} else {
		s.steps = append(s.steps, step{})
	}
	p := &s.steps[at]
	*p = step{Observation: *o, at: time.Since(s.began), changed: p.changed[:0]}
}

// add adds a call.
func (p *step) add(o *chain.Observation) {
	p.calls++
	p.Took += o.Took
	p.Waited += o.Waited
	p.Cut = o.Cut
	for _, c := range o.Changed {
		if len(p.changed) >= maxChanges {
			p.changedMore++
			continue
		}
		p.changed = append(p.changed, Change{Name: bounded(c.Name), Before: c.Before, After: c.After})
	}
}

func (s *stream) addEvent(o chain.Observation) {
	if len(s.events) >= maxEvents {
		s.dropped++
		return
	}
	s.events = append(s.events, event{o, time.Since(s.began)})
}

// Annotate returns the Server-Timing header of the plugins that have run so far, for a client that may see it.
func (s *stream) Annotate() core.Field {
	if !s.view.o.ServerTiming || s.why != byToken && s.why != byHeader {
		return core.Field{}
	}
	return core.Field{Name: "server-timing", Value: s.serverTiming()}
}

// end writes the record, and gives the memory back.
func (s *stream) end() {
	v, o := s.view, &s.view.o
	switch {
	case o.Slow > 0 && s.plugins >= o.Slow:
		why := s.why
		if why == unchosen {
			why = bySlow
		}
		s.log(slog.LevelWarn, "slow request", why)
	case o.Record && s.why != unchosen:
		s.log(slog.LevelInfo, "request", s.why)
	}
	s.st = nil
	s.plugins, s.dropped = 0, 0
	s.steps = s.steps[:0]
	clear(s.events)
	s.events = s.events[:0]
	v.pool.Put(s)
}

// RecordKey is the key of the record in a line of the log.
const RecordKey = "record"

func (s *stream) log(level slog.Level, msg string, why reason) {
	ctx := context.Background() // the stream's would wake up what is there for goroutines
	if log := s.view.o.Log; log.Enabled(ctx, level) {
		log.LogAttrs(ctx, level, msg, slog.Any(RecordKey, json.RawMessage(s.record(why).encode())))
	}
}

func (s *stream) record(why reason) *Record {
	h := internals.Stream(&s.st.Stream, 0)
	req := h.RequestHeaders()
	path, _, _ := strings.Cut(req.Path(), "?")
	route, _ := h.Attr(filter.AttrRouteName)
	r := &Record{
		Why: string(why), RequestID: bounded(req.Get("x-request-id")), TraceID: traceID(req.Get("traceparent")),
		Time: s.began, Route: bounded(route), Method: bounded(req.Method()), Host: bounded(req.Host()), Path: bounded(path),
		Status: h.ResponseHeaders().Status(), Total: ms(time.Since(s.began)), Plugins: ms(s.plugins),
		Steps: make([]Step, len(s.steps)), Dropped: s.dropped,
	}
	for i := range s.steps {
		p := &s.steps[i]
		r.Steps[i] = Step{
			Plugin: p.Plugin, Phase: p.Phase.String(), At: ms(p.at), Took: ms(p.Took), Waited: ms(p.Waited), Cut: p.Cut,
			Changed: p.changed,
		}
		if p.calls > 1 {
			r.Steps[i].Calls = p.calls
		}
		r.Dropped += p.changedMore
	}
	for _, e := range s.events {
		r.Events = append(r.Events, Event{
			At: ms(e.at), Kind: kinds[e.Kind], Plugin: e.Plugin, Status: e.Status, Own: e.Own, Wait: e.Wait.String(),
			Took: ms(e.Took), Details: bounded(e.Details),
		})
	}
	return r
}

var kinds = map[chain.ObservationKind]string{
	chain.WaitEnds: "wait", chain.PluginTimesOut: "timeout", chain.PluginPanics: "panic",
	chain.StreamReplies: "reply", chain.StreamResets: "reset",
}

// traceID returns the trace's id of a traceparent header (W3C Trace Context), or "".
func traceID(parent string) string {
	part := strings.Split(parent, "-")
	if len(part) < 4 || len(part[1]) != 32 {
		return ""
	}
	for _, c := range part[1] {
		if !strings.ContainsRune("0123456789abcdef", c) {
			return ""
		}
	}
	return part[1]
}

// maxServerTiming bounds the header.
const maxServerTiming = 2 << 10

// serverTiming is the Server-Timing (W3C) of the plugins: first all together, then each as far as there is room.
func (s *stream) serverTiming() string {
	b := append(make([]byte, 0, 256), "moe;dur="...)
	b = appendMS(b, s.plugins)
	for i := range s.steps {
		p := &s.steps[i]
		if s.first(p) != p {
			continue
		}
		took, waited := s.times(p.Plugin)
		before := len(b)
		b = append(b, ", moe-"...)
		b = appendToken(b, p.Plugin)
		b = appendMS(append(b, ";dur="...), took)
		if waited > 0 {
			b = append(appendMS(append(b, ";desc=\"waited "...), waited), '"')
		}
		if len(b) > maxServerTiming {
			return string(b[:before])
		}
	}
	return string(b)
}

// first returns the first step of p's plugin.
func (s *stream) first(p *step) *step {
	for i := range s.steps {
		if s.steps[i].Plugin == p.Plugin {
			return &s.steps[i]
		}
	}
	return nil
}

func (s *stream) times(plugin string) (took, waited time.Duration) {
	for i := range s.steps {
		if p := &s.steps[i]; p.Plugin == plugin {
			took, waited = took+p.Took, waited+p.Waited
		}
	}
	return took, waited
}

func appendMS(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, ms(d), 'f', -1, 64)
}

// appendToken appends name as a token of HTTP (RFC 9110): what else is in it becomes _.
func appendToken(b []byte, name string) []byte {
	for i := range min(len(name), maxText) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' {
			b = append(b, c)
		} else {
			b = append(b, '_')
		}
	}
	return b
}
