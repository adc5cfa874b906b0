package extension

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// Secret is a string that never prints, whatever prints it: fmt, slog, encoding/json or a configuration dump. In a
// configuration it is a string, {env: NAME} or {file: PATH}.
type Secret struct{ p *string } // a pointer, because fmt does not ask a type how to print an unexported field

const redacted = "[secret]"

// NewSecret makes a secret, for tests and for configurations that Go code writes.
func NewSecret(v string) Secret { return Secret{&v} }

// Reveal returns the secret, "" for the zero Secret.
func (s Secret) Reveal() string {
	if s.p == nil {
		return ""
	}
	return *s.p
}

// Equal compares in a time that depends neither on where the two differ nor on how long the secret is. The zero Secret
// equals nothing.
func (s Secret) Equal(v string) bool {
	a, b := sha256.Sum256([]byte(s.Reveal())), sha256.Sum256([]byte(v))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && s.p != nil
}

// Format prints [secret], whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// String returns "[secret]".
func (s Secret) String() string { return redacted }

// LogValue logs [secret].
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[secret]", for encoding/json too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText sets the secret.
func (s *Secret) UnmarshalText(b []byte) error {
	v := string(b)
	s.p = &v
	return nil
}
