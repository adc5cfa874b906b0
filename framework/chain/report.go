package chain

import (
	"fmt"
	"log/slog"
	"sync"

	"mosn.io/moe/framework/internal/guard"
	"mosn.io/moe/framework/internal/phase"
)

// seen remembers which misuses were logged.
type seen struct {
	mu sync.Mutex
	m  map[string]bool
}

// maxSeen bounds what is remembered, as a misuse may name a header that a client chose.
const maxSeen = 100

// first reports whether what is new. Once maxSeen are remembered, nothing is.
func (s *seen) first(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m[what] || len(s.m) >= maxSeen {
		return false
	}
	if s.m == nil {
		s.m = map[string]bool{}
	}
	s.m[what] = true
	return true
}

// requestID is the name of the field of a line that tells which request it is about.
const requestID = "request_id"

// reportMisuse counts a bug of a plugin and logs it once, with the request in which it was seen first. Any goroutine may
// call it.
func (c *Chain) reportMisuse(plugin int, what, request string) {
	c.cells[plugin].misuses.Add(1)
	if c.seen.first(c.names[plugin] + what) {
		c.loggers[plugin].Error("misuse: the plugin "+what, about(request, "logged", "once")...)
	}
	if c.options.Misuse != nil {
		c.options.Misuse(c.names[plugin], what)
	}
}

// about adds a request's id, if it has one, to the fields of a line.
func about(request string, fields ...any) []any {
	if request == "" {
		return fields
	}
	return append(fields, requestID, request)
}

// requestID returns what the request's header x-request-id says. It is called on the stream's thread.
func (st *Stream) requestID() string { return st.handle(0).RequestHeaders().Get("x-request-id") }

// misuse reports a bug of plugin i.
func (st *Stream) misuse(i index, what string) { st.chain.report(int(i), what, st.requestID()) }

// tell logs what plugin i did, and tells Options.Misuse.
func (st *Stream) tell(i index, what string, fields ...any) {
	c := st.chain
	c.loggers[i].Error("the plugin "+what, about(st.requestID(), fields...)...)
	if c.options.Misuse != nil {
		c.options.Misuse(c.names[i], what)
	}
}

// log returns plugin i's logger, with the request's id.
func (st *Stream) log(i index) *slog.Logger {
	return st.chain.loggers[i].With(about(st.requestID())...)
}

// faultError is the error of a pipe or a reader whose function did not return.
type faultError struct{ *guard.Fault }

// Error is that of error.
func (*faultError) Error() string { return "panic" }

// errorText returns what an error of plugin i says. If its Error method panics, or calls runtime.Goexit, that is a panic
// of the plugin.
func (st *Stream) errorText(i index, err error) string {
	text, fault := guard.Text(err)
	if fault != nil {
		st.panicIn(i, fmt.Sprintf("the Error method of a %T", err), fault)
	}
	return text
}

// sourceFailed ends the stream for the error, or the panic, of plugin i in what gives it a body.
func (st *Stream) sourceFailed(i index, what, reason string, err error) {
	if fault, ok := err.(*faultError); ok {
		st.panicIn(i, what, fault.Fault)
		st.reset(reason + ": panic")
		return
	}
	text := st.errorText(i, err)
	st.log(i).Error(what+" failed", "error", text)
	st.observeFailure(i, phase.Phase(phase.Count))
	st.resetBecause(reason, text)
}

// panicIn counts and logs a panic of plugin i. The observer comes last, so that one that panics itself hides nothing.
func (st *Stream) panicIn(i index, where string, fault *guard.Fault) {
	c := st.chain
	value, _ := guard.Text(fault.Value)
	c.cells[i].panics.Add(1)
	c.loggers[i].Error("panic", about(st.requestID(), "phase", where, "value", value, "stack", string(fault.Stack))...)
	if c.options.Misuse != nil {
		c.options.Misuse(c.names[i], fmt.Sprintf("panics in %s: %s\n%s", where, value, fault.Stack))
	}
	st.tellObserver(PluginPanics, c.names[i], 0, where)
}
