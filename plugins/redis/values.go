package redis

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"mosn.io/moe/plugins/internal/store"
)

func init() { store.RegisterValues(openValues) }

// values is a store.Values.
type values struct {
	redis.UniversalClient
	prefix string
}

func openValues(c *store.Redis) (store.Values, error) {
	o, err := options(c)
	if err != nil {
		return nil, err
	}
	return &values{redis.NewUniversalClient(o), c.Prefix}, nil
}

// Get is that of store.Values.
func (v *values) Get(ctx context.Context, key string) ([]byte, error) {
	b, err := v.UniversalClient.Get(ctx, v.prefix+key).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return b, err
}

// Set is that of store.Values. A set lasts as long as the value that lasts longest.
func (v *values) Set(ctx context.Context, key string, value []byte, ttl time.Duration, sets []string) error {
	pipe := v.Pipeline()
	pipe.Set(ctx, v.prefix+key, value, ttl)
	for _, s := range sets {
		pipe.SAdd(ctx, v.prefix+s, key)
		pipe.ExpireNX(ctx, v.prefix+s, ttl+time.Second)
		pipe.ExpireGT(ctx, v.prefix+s, ttl+time.Second)
	}
	_, err := pipe.Exec(ctx)
	return err
}

// Purge is that of store.Values.
func (v *values) Purge(ctx context.Context, set string) (n int, err error) {
	const few = 500 // at a time, so that the server goes on with other things
	for {
		keys, err := v.SPopN(ctx, v.prefix+set, few).Result()
		if err != nil || len(keys) == 0 {
			return n, err
		}
		pipe := v.Pipeline()
		for _, key := range keys {
			pipe.Unlink(ctx, v.prefix+key)
		}
		replies, err := pipe.Exec(ctx)
		for _, r := range replies {
			if r, ok := r.(*redis.IntCmd); ok {
				n += int(r.Val())
			}
		}
		if err != nil {
			return n, err
		}
	}
}
