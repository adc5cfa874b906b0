package mosn

import (
	"log/slog"
	"sync"

	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/filter"
)

// UnsupportedError says that a method of MOSN's API cannot do in Envoy what it does in MOSN. It matches
// [filter.ErrUnsupported].
type UnsupportedError struct {
	Method string // such as "Connection.Write"
	Reason string
}

func (e *UnsupportedError) Error() string { return "mosn: " + e.Method + ": " + e.Reason }

// Unwrap returns filter.ErrUnsupported.
func (e *UnsupportedError) Unwrap() error { return filter.ErrUnsupported }

const (
	ownsConnection = "the connection is Envoy's, and a filter has no hold of it"
	ownsRoutes     = "the routes are Envoy's, and a filter cannot change them"
)

// reports counts what filters call that has no effect here, and logs each kind of it once.
type reports struct {
	calls *extension.Tagged[*extension.Counter] // that can do nothing
	late  *extension.Tagged[*extension.Counter]
	said  sync.Map
}

func newReports(env *extension.Env) *reports {
	return &reports{calls: env.Tag("method").Counter("unsupported"), late: env.Tag("method").Counter("late_calls")}
}

// unsupported reports a call of a method that can do nothing here, and returns the error.
func (r *reports) unsupported(log *slog.Logger, method, reason string) error {
	r.calls.With(method).Inc()
	if _, known := r.said.LoadOrStore(method, true); !known {
		log.Warn("a MOSN filter calls what Envoy cannot do", "method", method, "reason", reason)
	}
	return &UnsupportedError{method, reason}
}

// misuse reports a call that comes when it can have no effect any more.
func (r *reports) misuse(log *slog.Logger, method, when string) {
	r.late.With(method).Inc()
	if _, known := r.said.LoadOrStore(method+when, true); !known {
		log.Error("a MOSN filter calls a method too late, and the call is ignored", "method", method, "when", when)
	}
}

func (st *stream) unsupported(method, reason string) error {
	return st.plugin.reports.unsupported(st.s.Log(), method, reason)
}

func (st *stream) misuse(method, when string) { st.plugin.reports.misuse(st.s.Log(), method, when) }
