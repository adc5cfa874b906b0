package guard

import (
	"fmt"
	"sync/atomic"
	"time"
)

// mostOverdue is how many calls may be overdue, each of which keeps a goroutine and what it uses, before there are no
// further ones. Calls that a caller still waits for don't count: there are as many as callers.
const mostOverdue = 8

// Overdue is the Fault's value of a call that [Limited] did not begin.
type Overdue struct{ of string }

// Error says of whom too many calls are overdue.
func (o *Overdue) Error() string {
	return fmt.Sprintf("%d calls of %s are overdue; it is asked again when one of them has returned", mostOverdue, o.of)
}

// Calls counts the calls of one owner that are overdue: they have not returned within their patience. The zero Calls is
// ready to use.
type Calls struct{ overdue atomic.Int32 }

// Limited is [Await], save that it fails at once, with an [Overdue] as the fault's value, while too many calls are overdue.
// The fault of the last of these says so, too. of says in that text whose calls they are.
func Limited[T any](c *Calls, of string, patience time.Duration, turns <-chan func(), f func() T) (T, *Fault) {
	refused := &Overdue{of}
	if c.overdue.Load() >= mostOverdue {
		var none T
		return none, &Fault{Value: refused}
	}
	var settled atomic.Bool // the call has returned, or nobody waits for it: whichever comes first
	value, fault := Await(patience, turns, func() T {
		defer func() {
			if settled.Swap(true) {
				c.overdue.Add(-1)
			}
		}()
		return f()
	})
	if fault != nil && fault.Stack == nil {
		n := c.overdue.Add(1)
		if settled.Swap(true) {
			c.overdue.Add(-1)
		} else if n >= mostOverdue {
			fault.Value = fmt.Errorf("%v; %w", fault.Value, refused)
		}
	}
	return value, fault
}
