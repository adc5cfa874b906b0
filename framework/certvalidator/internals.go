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

// Internals is for the framework's own packages, the only ones that can name its argument. What it leads to may change
// at any time.
func Internals(core.Internal) internals { return internals{} }

type internals struct{}

// Verify has v decide, on a goroutine of its own, because runtime.Goexit in v would end Envoy's thread, and one that does
// not return would hold it. A fault, which is nil if there is none, refuses the certificate.
func (internals) Verify(v Verifier, a Asked) (Verdict, *guard.Fault) {
	s := &session{
		raw: a.Raw, serverName: a.ServerName, isServer: a.IsServer, source: a.Source,
		ask: make(chan func()), over: make(chan struct{}),
	}
	defer close(s.over)
	verdict, fault := guard.Await(Patience, s.ask, func() Verdict { return v.Verify(Handshake{s}) })
	switch {
	case fault == nil:
		return verdict, nil
	case fault.Stack == nil:
		return Refuse("the validator gave no verdict within " + Patience.String()).WithAlert(InternalError), fault
	}
	return Refuse("the validator panicked").WithAlert(InternalError), fault
}

// SessionContext asks v for what sessions depend on.
func (internals) SessionContext(v Verifier) ([]byte, *guard.Fault) {
	b, ok := v.(SessionBinder)
	if !ok {
		return nil, nil
	}
	return guard.Await(Patience, nil, b.SessionContext)
}
