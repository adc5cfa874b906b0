package certvalidator

import (
	"fmt"
	"sync/atomic"
	"time"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/guard"
)

// Source is what a host provides for a handshake. It is asked on the thread that waits for the verdict.
type Source interface {
	FilterState(key string) (string, error)
	SetFilterState(key, value string) error
}

// Asked is what a host knows of a handshake.
type Asked struct {
	Raw        [][]byte
	ServerName string
	IsServer   bool
	Source     Source
}

// Patience is how long Envoy's threads wait for a validator's method.
const Patience = time.Second

// mostOverdue is how many calls may be overdue, each of which keeps a goroutine and its certificates, before the validator
// is asked no more. Calls that Envoy's threads still wait for don't count: there are as many as threads.
const mostOverdue = 8

var errOverdue = fmt.Errorf("%d calls of the validator are overdue; it is asked again when one of them has returned", mostOverdue)

// Calls counts the calls of one configuration's methods that are overdue: they have not returned within Patience.
type Calls struct{ overdue atomic.Int32 }

// await is guard.Await, save that it fails at once with errOverdue while too many calls are overdue.
func await[T any](c *Calls, turns <-chan func(), f func() T) (T, *guard.Fault) {
	if c.overdue.Load() >= mostOverdue {
		var none T
		return none, &guard.Fault{Value: errOverdue}
	}
	var settled atomic.Bool // the call has returned, or nobody waits for it: whichever comes first
	value, fault := guard.Await(Patience, turns, func() T {
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
			fault.Value = fmt.Errorf("%v; %w", fault.Value, errOverdue)
		}
	}
	return value, fault
}

// Internals is for the framework's own packages, the only ones that can name its argument. What it leads to may change
// at any time.
func Internals(core.Internal) internals { return internals{} }

type internals struct{}

// Verify has v decide, on a goroutine of its own, because runtime.Goexit in v would end Envoy's thread, and one that does
// not return would hold it. A fault, which is nil if there is none, refuses the certificate. So do too many calls that
// are overdue: the fault of the last of them has said so. c is that of v's configuration.
func (internals) Verify(v Verifier, c *Calls, a Asked) (Verdict, *guard.Fault) {
	s := &session{
		raw: a.Raw, serverName: a.ServerName, isServer: a.IsServer, source: a.Source,
		ask: make(chan func()), over: make(chan struct{}),
	}
	defer close(s.over)
	verdict, fault := await(c, s.ask, func() Verdict { return v.Verify(Handshake{s}) })
	switch {
	case fault == nil:
		return verdict, nil
	case fault.Value == errOverdue:
		return Refuse(errOverdue.Error()).WithAlert(InternalError), nil
	case fault.Stack == nil:
		return Refuse("the validator gave no verdict within " + Patience.String()).WithAlert(InternalError), fault
	}
	return Refuse("the validator panicked").WithAlert(InternalError), fault
}

// SessionContext asks v for what sessions depend on. c is that of v's configuration.
func (internals) SessionContext(v Verifier, c *Calls) ([]byte, *guard.Fault) {
	b, ok := v.(SessionBinder)
	if !ok {
		return nil, nil
	}
	return await(c, nil, b.SessionContext)
}
