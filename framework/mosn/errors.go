package mosn

import (
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

// unsupported counts a call of a method that can do nothing here, logs the first one, and returns the error.
func (st *stream) unsupported(method, reason string) error {
	st.plugin.unsupported.With(method).Inc()
	if _, known := st.plugin.reported.LoadOrStore(method, true); !known {
		st.s.Log().Warn("a MOSN filter calls what Envoy cannot do", "method", method, "reason", reason)
	}
	return &UnsupportedError{method, reason}
}

// misuse logs and counts a call that comes when it can have no effect any more.
func (st *stream) misuse(method, when string) {
	st.plugin.late.With(method).Inc()
	if _, known := st.plugin.reported.LoadOrStore(method+when, true); !known {
		st.s.Log().Error("a MOSN filter calls a method too late, and the call is ignored", "method", method, "when", when)
	}
}
