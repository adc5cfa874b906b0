package oidc

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"

	"mosn.io/moe/framework/filter"
)

// sealer signs what browsers keep for us. What is signed for one purpose is good for no other: a state that was handed
// to anybody who asks cannot pass for a session.
type sealer struct{ key []byte }

func newSealer(secret filter.Secret) sealer {
	m := hmac.New(sha256.New, []byte(secret.Reveal()))
	m.Write([]byte("mosn.io/moe/docs/examples/oidc cookies"))
	return sealer{m.Sum(nil)}
}

type sealed struct {
	Purpose string
	Expires int64 // Unix time
	Value   json.RawMessage
}

func (s sealer) seal(purpose string, value any, life time.Duration) string {
	v, err := json.Marshal(value)
	if err != nil {
		panic(err) // strings only
	}
	b, err := json.Marshal(sealed{purpose, time.Now().Add(life).Unix(), v})
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(append(s.sum(b), b...))
}

// open reports whether c was sealed for purpose and still holds, and puts the value into it.
func (s sealer) open(purpose, c string, value any) bool {
	b, err := base64.RawURLEncoding.DecodeString(c)
	if err != nil || len(b) < sha256.Size {
		return false
	}
	sum, b := b[:sha256.Size], b[sha256.Size:]
	var x sealed
	return hmac.Equal(sum, s.sum(b)) && json.Unmarshal(b, &x) == nil && x.Purpose == purpose &&
		time.Now().Unix() < x.Expires && json.Unmarshal(x.Value, value) == nil
}

func (s sealer) sum(b []byte) []byte {
	m := hmac.New(sha256.New, s.key)
	m.Write(b)
	return m.Sum(nil)
}
