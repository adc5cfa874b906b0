package filter

import "mosn.io/moe/framework/internal/core"

// The functions of this file are for the framework's own packages. They need types of framework/internal/core, so
// nobody else can call them, and they may change at any time.

// NewStream returns the handle of plugin on c's present life. It is called on the stream's thread.
func NewStream(c *core.Stream, plugin int) Stream { return Stream{c, c.Gen, uint16(plugin)} }

// NewHeaders is NewStream for a block, which is one of core's indexes.
func NewHeaders(c *core.Stream, plugin, block int) Headers {
	return Headers{c, c.Gen, uint8(block), uint16(plugin)}
}

// NewBody is NewStream for a body.
func NewBody(c *core.Stream, plugin int, dir core.Direction) Body {
	return Body{c, c.Gen, dir, uint16(plugin)}
}

// CoreAction returns what a carries.
func CoreAction(a Action) core.Action { return a.a }

// ValidReplyField reports whether a field that [WithHeader] gave can be sent.
func ValidReplyField(f core.Field) bool {
	return f.Value != "" && valid(f.Name, f.Value) && f.Name != "transfer-encoding"
}

// Later is to be called on the stream's thread. The function it returns may be called from any goroutine, at any time:
// where the request has passed the plugin of s and no response has begun, it runs f on the stream's thread, and a Reply
// or Reset that f returns takes effect as one from a phase would.
func Later(_ core.Internal, s Stream) func(f func() Action) {
	if !s.lock() {
		return func(func() Action) {}
	}
	later := s.c.Later
	s.c.Mu.Unlock()
	post := later(int(s.plugin))
	return func(f func() Action) { post(func() core.Action { return f().a }) }
}
