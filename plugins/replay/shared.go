package replay

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"mosn.io/moe/plugins/internal/nonces"
	"mosn.io/moe/plugins/internal/store"
)

// Shared has nonces remembered in Redis.
type Shared struct {
	store.Redis
	// OnFailure says what becomes of requests while Redis does not answer: error, which failOpen and errorStatus are for, or
	// local, with which this Envoy goes by the nonces that it has seen itself.
	OnFailure string `json:"onFailure" default:"error" enum:"error,local"`

	client store.Client
}

// script remembers a nonce, and returns 1 if it is new.
const script = `if redis.call('SET', KEYS[1], '', 'NX', 'PX', ARGV[1]) then return {1} end return {0}`

func (s *Shared) start() (err error) {
	s.client, err = store.Open(&s.Redis, script)
	return err
}

var errAnswer = errors.New("the answer of Redis is not that of the script")

// add remembers a value for a time.
func (s *Shared) add(ctx context.Context, id string, value []byte, keep time.Duration) (nonces.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	sum := sha256.Sum256(append([]byte(id+"\n"), value...))
	call := &store.Call{
		Key:  s.Prefix + "replay:" + base64.RawURLEncoding.EncodeToString(sum[:]),
		Args: []any{keep.Milliseconds()},
	}
	s.client.Run(ctx, []*store.Call{call})
	switch {
	case call.Err != nil:
		return 0, call.Err
	case len(call.Numbers) == 1 && call.Numbers[0] == 1:
		return nonces.Fresh, nil
	case len(call.Numbers) == 1 && call.Numbers[0] == 0:
		return nonces.Replayed, nil
	}
	return 0, errAnswer
}
