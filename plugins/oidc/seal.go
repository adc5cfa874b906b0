package oidc

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"mosn.io/moe/framework/filter"
)

// sealer encrypts what browsers keep for us, with AES-256-GCM. What was sealed for one purpose, or for another client
// or provider, opens for no other: a state, which anybody can have, must not open as a session.
type sealer struct {
	aead  cipher.AEAD
	scope string
}

func newSealer(secret filter.Secret, scope string) (sealer, error) {
	key, err := hkdf.Key(sha256.New, []byte(secret.Reveal()), nil, "moe oidc cookies 1", 32)
	if err != nil {
		return sealer{}, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return sealer{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return sealer{aead, scope}, err
}

// maxSealed is how long a cookie's text may be, all its pieces together.
const maxSealed = maxChunks * chunkSize

var errSealed = errors.New("cannot be opened")

type envelope struct {
	Expires int64           `json:"e"` // Unix time
	Value   json.RawMessage `json:"v"`
}

// seal encrypts value, which is good until expires.
func (s sealer) seal(purpose string, value any, expires time.Time) (string, error) {
	v, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(envelope{expires.Unix(), v})
	if err != nil {
		return "", err
	}
	sealed := s.aead.Seal(nil, nil, text, []byte(s.scope+"\x00"+purpose))
	out := base64.RawURLEncoding.EncodeToString(sealed)
	if len(out) > maxSealed {
		return "", errors.New("is too long for cookies")
	}
	return out, nil
}

// open decrypts text with the key that it was sealed with. It fails for what has expired.
func open(keys []sealer, purpose, text string, value any, now time.Time) error {
	if len(text) > maxSealed {
		return errSealed
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return errSealed
	}
	for _, s := range keys {
		plain, err := s.aead.Open(nil, nil, sealed, []byte(s.scope+"\x00"+purpose))
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
