// Package guard turns panics of code that a plugin calls, such as a parser of texts from outside, into errors.
package guard

import (
	"fmt"
	"runtime/debug"
)

// Panic is the error of a call that panicked.
type Panic struct {
	// Value is what the call panicked with, as text.
	Value string
	// Stack is that of the goroutine, for the log.
	Stack string
}

// Error returns the value that the call panicked with.
func (p *Panic) Error() string { return "panic: " + p.Value }

// Do calls f and returns its error, which is a *[Panic] if f panics.
func Do(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &Panic{Value: fmt.Sprint(v), Stack: string(debug.Stack())}
		}
	}()
	return f()
}
