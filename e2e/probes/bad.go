package probes

import (
	"log/slog"
	"runtime"
)

// badErrors are errors whose Error methods misbehave, by how.
var badErrors = map[string]error{
	"nil":    (*badError)(nil),
	"panics": &badError{func() { panic("Error-panic") }},
	"exits":  &badError{runtime.Goexit},
}

type badError struct{ f func() }

// Error is that of error.
func (e *badError) Error() string {
	e.f()
	return "bad"
}

// badValue is a value to log. It misbehaves in the way that it names, as badErrors do.
type badValue struct{ how string }

// LogValue is that of slog.LogValuer.
func (v badValue) LogValue() slog.Value { return slog.StringValue(badErrors[v.how].Error()) }
