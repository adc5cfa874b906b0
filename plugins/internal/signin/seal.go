package signin

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"mosn.io/moe/framework/filter"
)

// leastSecret is how many bytes a secret has at least.
const leastSecret = 32

// CheckSecrets says what is wrong with the secrets of cookieSecrets.
func CheckSecrets(secrets []filter.Secret) error {
	var errs []error
	if len(secrets) == 0 {
		errs = append(errs, errors.New("cookieSecrets: must not be empty"))
	}
	for i, s := range secrets {
		if len(s.Reveal()) < leastSecret {
			errs = append(errs, fmt.Errorf("cookieSecrets[%d]: must be at least %d bytes", i, leastSecret))
		}
	}
	return errors.Join(errs...)
}

// Keys encrypt what browsers keep for us, with AES-256-GCM. What was sealed for one purpose, or in another scope, opens for no
// other: a state, which anybody can have, must not open as a session.
type Keys struct {
	scope string
	aeads []cipher.AEAD
}

// NewKeys makes keys of secrets: the first one seals, all of them open. label tells plugins apart, and scope what a plugin seals
// cookies for, such as its client and provider.
func NewKeys(secrets []filter.Secret, label, scope string) (*Keys, error) {
	k := &Keys{scope: scope}
	for _, s := range secrets {
		key, err := hkdf.Key(sha256.New, []byte(s.Reveal()), nil, label, 32)
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, err
		}
		k.aeads = append(k.aeads, aead)
	}
	return k, nil
}

// maxSealed is how long a cookie's text may be, all its pieces together.
const maxSealed = maxChunks * chunkSize

var errSealed = errors.New("cannot be opened")

type envelope struct {
	Expires int64           `json:"e"` // Unix time
	Value   json.RawMessage `json:"v"`
}

// Seal encrypts value, which is good until expires. It fails for one that does not fit into cookies.
func (k *Keys) Seal(purpose string, value any, expires time.Time) (string, error) {
	v, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(envelope{expires.Unix(), v})
	if err != nil {
		return "", err
	}
	sealed := k.aeads[0].Seal(nil, nil, text, k.bound(purpose))
	out := base64.RawURLEncoding.EncodeToString(sealed)
	if len(out) > maxSealed {
		return "", errors.New("is too long for cookies")
	}
	return out, nil
}

// Open decrypts text with the key that it was sealed with. It fails for what has expired.
func (k *Keys) Open(purpose, text string, value any, now time.Time) error {
	if len(text) > maxSealed {
		return errSealed
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return errSealed
	}
	for _, aead := range k.aeads {
		plain, err := aead.Open(nil, nil, sealed, k.bound(purpose))
		if err != nil {
			continue
		}
		var e envelope
		if json.Unmarshal(plain, &e) != nil || now.Unix() >= e.Expires || json.Unmarshal(e.Value, value) != nil {
			return errSealed
		}
		return nil
	}
	return errSealed
}

func (k *Keys) bound(purpose string) []byte { return []byte(k.scope + "\x00" + purpose) }
