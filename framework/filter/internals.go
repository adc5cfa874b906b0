package filter

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/internal/core"
)

// Internals is for the framework's own packages, the only ones that can name its argument. What it leads to may change
// at any time.
func Internals(core.Internal) internals { return internals{} }

// internals is empty, so that its methods are called, and inlined, as functions are.
type internals struct{}

// Stream returns the handle of plugin on c's present life. It is called on the stream's thread.
func (internals) Stream(c *core.Stream, plugin int) Stream { return Stream{c, c.Gen, uint16(plugin)} }

// Headers is Stream for a block, which is one of core's indexes.
func (internals) Headers(c *core.Stream, plugin, block int) Headers {
	return Headers{c, c.Gen, uint8(block), uint16(plugin)}
}

// Body is Stream for a body.
func (internals) Body(c *core.Stream, plugin int, dir core.Direction) Body {
	return Body{c, c.Gen, dir, uint16(plugin)}
}

// RemoteContext returns a context with the span that the request names, if it names one, and its baggage: what a span for the
// stream begins with. It is called on the stream's thread.
func (internals) RemoteContext(s Stream) context.Context {
	h := s.traceHeaders()
	ctx := h.withRemoteSpan(h.withBaggage(context.Background()), s.host())
	if h.denies() && !trace.SpanContextFromContext(ctx).IsValid() {
		return unsampled(ctx)
	}
	return ctx
}

// Action returns what a carries.
func (internals) Action(a Action) core.Action { return a.a }

// ValidReplyField reports whether a field that [WithHeader] gave can be sent.
func (internals) ValidReplyField(f core.Field) bool {
	return f.Value != "" && valid(f.Name, f.Value) && f.Name != "transfer-encoding"
}

// Later is called on the stream's thread. The function that it returns may be called from any goroutine, at any time:
// where the request has passed the plugin of s and no response has begun, it runs f on the stream's thread, and a Reply
// or Reset that f returns takes effect as one from a phase would.
func (internals) Later(s Stream) func(f func() Action) {
	if !s.lock() {
		return func(func() Action) {}
	}
	later := s.c.Later
	s.c.Mu.Unlock()
	post := later(int(s.plugin))
	return func(f func() Action) { post(func() core.Action { return f().a }) }
}

// KeepLength returns a [Pipe] whose writer sees to it that content-length holds.
func (internals) KeepLength(pipe Action) Action {
	p := *pipe.a.P
	p.KeepLength = true
	return Action{core.Action{Kind: pipe.a.Kind, P: &p}}
}

// Register adds a plugin whose registration the caller has made, as [Register] does.
func (internals) Register(r *Registration, opts []Option) { register(r, opts) }

// Prepared returns what r.Prepare makes of config, which is env's configuration; config itself where there is no
// Prepare. A nil env remembers nothing.
func (internals) Prepared(env *Env, r *Registration, config any) any {
	switch {
	case r.Prepare == nil:
		return config
	case env == nil:
		return r.Prepare(config)
	}
	return extension.Internals(core.Internal{}).Prepared(env, func() any { return r.Prepare(config) })
}
