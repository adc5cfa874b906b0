package certvalidator

import (
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

// validatorCalls is whose calls are limited.
const validatorCalls = "the validator"

// Internals is for the framework's own packages, the only ones that can name its argument. What it leads to may change
// at any time.
func Internals(core.Internal) internals { return internals{} }

type internals struct{}

// Verify has v decide, on a goroutine of its own, because runtime.Goexit in v would end Envoy's thread, and one that does
// not return would hold it. A fault, which is nil if there is none, refuses the certificate. So do too many calls that
// are overdue: the fault of the last of them has said so. c is that of v's configuration.
func (internals) Verify(v Verifier, c *guard.Calls, a Asked) (Verdict, *guard.Fault) {
	s := &session{
		raw: a.Raw, serverName: a.ServerName, isServer: a.IsServer, source: a.Source,
		ask: make(chan func()), over: make(chan struct{}),
	}
	defer close(s.over)
	verdict, fault := guard.Limited(c, validatorCalls, Patience, s.ask, func() Verdict { return v.Verify(Handshake{s}) })
	if fault == nil {
		return verdict, nil
	}
	if refused, ok := fault.Value.(*guard.Overdue); ok {
		return Refuse(refused.Error()).WithAlert(InternalError), nil
	}
	if fault.Stack == nil {
		return Refuse("the validator gave no verdict within " + Patience.String()).WithAlert(InternalError), fault
	}
	return Refuse("the validator panicked").WithAlert(InternalError), fault
}

// SessionContext asks v for what sessions depend on. c is that of v's configuration.
func (internals) SessionContext(v Verifier, c *guard.Calls) ([]byte, *guard.Fault) {
	b, ok := v.(SessionBinder)
	if !ok {
		return nil, nil
	}
	return guard.Limited(c, validatorCalls, Patience, nil, b.SessionContext)
}
