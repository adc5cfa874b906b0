// Package guard keeps the framework from what a plugin's code does beside returning: it panics, calls runtime.Goexit, or
// does not return at all.
package guard

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"
)

// Fault is how a function ended that did not return.
type Fault struct {
	Value any // of the panic; [ErrGoexit] if there was none
	Stack []byte
}

// ErrGoexit is the Fault's value for a function that neither returned nor panicked: it called runtime.Goexit, as
// testing.T.FailNow does.
var ErrGoexit = errors.New("runtime.Goexit was called")

// Recovered returns how a function ended. It is for deferred functions: v is what recover gave, and returned whether the
// function came to its end, which gives nil. A Fault that was panicked with stays what it is, with its stack.
func Recovered(v any, returned bool) *Fault {
	if returned {
		return nil
	}
	switch v := v.(type) {
	case nil:
		return &Fault{ErrGoexit, debug.Stack()}
	case *Fault:
		return v
	}
	return &Fault{v, debug.Stack()}
}

// Call returns what f returns, or what failed makes of the fault if f panics. After runtime.Goexit failed is called, too, and
// nobody gets what it returns: see [Finally].
func Call[T any](f func() T, failed func(*Fault) T) (v T) {
	returned := false
	defer func() {
		if fault := Recovered(recover(), returned); fault != nil {
			v = failed(fault)
		}
	}()
	v = f()
	returned = true
	return v
}

// Finally hands what f returns to then, or exited if f ends its goroutine by runtime.Goexit.
func Finally[T any](f func() T, exited T, then func(T)) {
	v := exited
	defer func() { then(v) }()
	v = f()
}

// Patience bounds how long [Text] waits for a plugin's method.
const Patience = time.Second

// Text returns v as text, and how the attempt ended. Methods that make the text (Error, String, Format) run on a
// goroutine of their own, because runtime.Goexit in one of them would end the thread that asks, which may be Envoy's.
// Where there is a fault, the text says so.
func Text(v any) (string, *Fault) {
	switch v := v.(type) {
	case nil:
		return "<nil>", nil
	case string:
		return v, nil
	case int:
		return strconv.Itoa(v), nil
	case bool:
		return strconv.FormatBool(v), nil
	}
	return call(v, func() string { return text(v) })
}

// call returns what f returns, which calls methods of v.
func call(v any, f func() string) (string, *Fault) {
	text, fault := Await(Patience, nil, f)
	switch {
	case fault == nil:
		return text, nil
	case fault.Stack == nil:
		return fmt.Sprintf("(a %T whose text cannot be had: its method does not return)", v), fault
	}
	return fmt.Sprintf("(a %T whose text cannot be had: its method panics)", v), fault
}

// Await returns what f returns, which runs on a goroutine of its own, and how it ended. One that takes longer than patience
// is left alone; that fault has no stack. Meanwhile the caller runs the functions that come by turns, which may be nil.
func Await[T any](patience time.Duration, turns <-chan func(), f func() T) (T, *Fault) {
	type result struct {
		value T
		fault *Fault
	}
	c := make(chan result, 1)
	go func() {
		var r result
		returned := false
		defer func() {
			r.fault = Recovered(recover(), returned)
			c <- r
		}()
		r.value = f()
		returned = true
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case turn := <-turns:
			turn()
		case r := <-c:
			return r.value, r.fault
		case <-timer.C:
			var none T
			return none, &Fault{errors.New("no return within " + patience.String()), nil}
		}
	}
}

// text calls the methods that package fmt would call, without fmt's recover, which would hide their panics.
func text(v any) string {
	switch v := v.(type) {
	case fmt.Formatter:
		return fmt.Sprint(v)
	case error:
		return v.Error()
	case fmt.Stringer:
		return v.String()
	}
	return fmt.Sprint(v)
}
