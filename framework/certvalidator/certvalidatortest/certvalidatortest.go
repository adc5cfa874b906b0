// Package certvalidatortest is the in-memory host for unit tests of certificate validators:
//
//	v, err := certvalidatortest.New[Pinned](t, "sha256: [...]")
//	verdict := certvalidatortest.Handshake{Certificates: [][]byte{der}}.Verify(t, v)
package certvalidatortest

import (
	"testing"

	"mosn.io/moe/framework/certvalidator"
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/guard"
	"mosn.io/moe/framework/internal/testhost"
)

var internals = certvalidator.Internals(core.Internal{})

// New makes the certificate validator whose registered struct is T from a configuration as an operator writes it, YAML or
// JSON: decoded strictly, validated, provisioned. It is closed when the test ends. The error is what an operator would
// see.
func New[T any](t testing.TB, conf string) (*T, error) {
	t.Helper()
	return testhost.New[T](t, "certvalidatortest", testhost.Of[T](extension.Bases(certvalidator.Registrations())), conf)
}

// Handshake is what Envoy knows in a test.
type Handshake struct {
	Certificates [][]byte // the peer's, in DER
	ServerName   string
	IsServer     bool

	FilterState   map[string]string // what the validator sets is added, so it must not be nil if it sets any
	NoFilterState bool              // as Envoy 1.38 has none
}

// Verify has v decide, as Envoy does: what goes wrong in v refuses the certificate, and is logged.
func (h Handshake) Verify(t testing.TB, v certvalidator.Verifier) certvalidator.Verdict {
	t.Helper()
	verdict, fault := internals.Verify(v, new(guard.Calls), certvalidator.Asked{
		Raw: h.Certificates, ServerName: h.ServerName, IsServer: h.IsServer, Source: source{h},
	})
	if fault != nil {
		t.Logf("the validator fails: %v\n%s", fault.Value, fault.Stack)
	}
	return verdict
}

type source struct{ h Handshake }

// FilterState is certvalidator.Source's.
func (s source) FilterState(key string) (string, error) {
	if s.h.NoFilterState {
		return "", certvalidator.ErrUnsupported
	}
	v, ok := s.h.FilterState[key]
	if !ok {
		return "", certvalidator.ErrNotFound
	}
	return v, nil
}

// SetFilterState is certvalidator.Source's.
func (s source) SetFilterState(key, value string) error {
	if s.h.NoFilterState {
		return certvalidator.ErrUnsupported
	}
	if _, ok := s.h.FilterState[key]; ok {
		return certvalidator.ErrFilterStateTaken
	}
	s.h.FilterState[key] = value
	return nil
}
