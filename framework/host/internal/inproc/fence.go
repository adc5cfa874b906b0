package inproc

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// Fence keeps a panic of the framework's own from taking Envoy down: it is to be deferred by what C calls for anything but
// an object's events, for which there is [Thread.Cross]. It logs the panic under what.
func Fence(to slog.Handler, what string) { fence(to, what, recover(), nil) }

// fence logs what was recovered from, if anything was, and then runs after, unless that is nil.
func fence(to slog.Handler, what string, p any, after func()) {
	if p == nil {
		return
	}
	LogPanic(to, what, p)
	if after != nil {
		defer Fence(to, what)
		after()
	}
}

// LogPanic logs what was recovered from, with the stack.
func LogPanic(to slog.Handler, what string, p any) {
	slog.New(to).Error(what, "value", fmt.Sprint(p), "stack", string(debug.Stack()))
}

// Background runs f on a goroutine of its own: to close plugins waits for theirs, which Envoy's threads must not.
func Background(to slog.Handler, what string, f func()) {
	go func() {
		defer Fence(to, "framework panic: "+what)
		f()
	}()
}
