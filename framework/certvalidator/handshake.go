package certvalidator

import (
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
)

// ErrHandshakeOver is what a [Handshake] answers once there is a verdict.
var ErrHandshakeOver = errors.New("the certificate has been decided about")

// ErrFilterStateTaken is [Handshake.SetFilterState]'s error for a key that has a value already, or an object of Envoy's.
var ErrFilterStateTaken = errors.New("the filter state has this key already")

// Handshake is a TLS handshake in which the peer has sent its certificates. Its methods may be called from any
// goroutine, at any time. What they return is the caller's to keep.
type Handshake struct{ s *session }

// Raw returns the peer's certificates in DER. The first one is the peer's own, the others may be authorities between it
// and a root, in any order. There is at least one: a peer without a certificate is Envoy's matter
// (require_client_certificate). None of them has been verified in any way, save that the peer is about to prove that it
// has the key of the first.
func (h Handshake) Raw() [][]byte {
	if h.s == nil {
		return nil
	}
	return h.s.raw
}

// Certificates returns the peer's certificates parsed; see [Handshake.Raw]. The error is for the first one that is not a
// certificate in Go's eyes.
func (h Handshake) Certificates() ([]*x509.Certificate, error) {
	if h.s == nil {
		return nil, ErrHandshakeOver
	}
	return h.s.certificates()
}

// ServerName is the name that the client has asked for (SNI), in lower case or as the client wrote it, or "". Of a
// cluster it is the one that Envoy asked for.
func (h Handshake) ServerName() string {
	if h.s == nil {
		return ""
	}
	return h.s.serverName
}

// IsServer reports whether Envoy is the server of this connection, so that the certificates are a client's.
func (h Handshake) IsServer() bool { return h.s != nil && h.s.isServer }

// FilterState returns a text of the connection's filter state. The error is [ErrNotFound] where there is no such text,
// [ErrUnsupported] with Envoy 1.38, and [ErrHandshakeOver] after the verdict.
func (h Handshake) FilterState(key string) (value string, err error) {
	err = h.onThread(func(from Source) error {
		value, err = from.FilterState(key)
		return err
	})
	return value, err
}

// SetFilterState puts a text into the connection's filter state, for network and HTTP filters, matchers and access logs
// (%FILTER_STATE(key:PLAIN)%) to see. It stays there if the certificate is refused. The error is [ErrFilterStateTaken],
// [ErrUnsupported] with Envoy 1.38 and for connections whose filter state Envoy does not reach, such as those of QUIC, and
// [ErrHandshakeOver] after the verdict.
func (h Handshake) SetFilterState(key, value string) error {
	return h.onThread(func(from Source) error { return from.SetFilterState(key, value) })
}

func (h Handshake) onThread(f func(Source) error) error {
	if h.s == nil {
		return ErrHandshakeOver
	}
	return h.s.onThread(f)
}

// session is what handles of one handshake share.
type session struct {
	raw        [][]byte
	serverName string
	isServer   bool
	source     Source
	ask        chan func()   // functions for Envoy's thread
	over       chan struct{} // closed when that thread serves no more

	once   sync.Once
	parsed []*x509.Certificate
	err    error
}

func (s *session) certificates() ([]*x509.Certificate, error) {
	s.once.Do(func() {
		for i, der := range s.raw {
			c, err := x509.ParseCertificate(der)
			if err != nil {
				s.parsed, s.err = nil, fmt.Errorf("certificate %d: %w", i+1, err)
				return
			}
			s.parsed = append(s.parsed, c)
		}
	})
	return s.parsed, s.err
}

// onThread has the thread that waits for the verdict run f.
func (s *session) onThread(f func(Source) error) error {
	result := make(chan error, 1)
	select {
	case s.ask <- func() { result <- f(s.source) }:
		return <-result
	case <-s.over:
		return ErrHandshakeOver
	}
}
