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

// Set is that of store.Values. A set lasts as long as the value that lasts longest. A key is in its sets before its value is
// there: whatever fails in between, a value that is there can be removed by its sets.
func (v *values) Set(ctx context.Context, key string, value []byte, ttl time.Duration, sets []string) error {
	pipe := v.Pipeline()
	for _, s := range sets {
		pipe.SAdd(ctx, v.prefix+s, key)
		pipe.ExpireNX(ctx, v.prefix+s, ttl+time.Second)
		pipe.ExpireGT(ctx, v.prefix+s, ttl+time.Second)
	}
	if len(sets) > 0 { // of a cluster, other nodes have the sets: in one pipeline the value may be there first
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
	}
	return v.UniversalClient.Set(ctx, v.prefix+key, value, ttl).Err()
}

// PurgeSome is that of store.Values. Keys leave the set once their values are gone, so that what fails can be done again.
func (v *values) PurgeSome(ctx context.Context, set string) (n int, more bool, err error) {
	const few = 500 // at a time, so that the server goes on with other things
	keys, err := v.SRandMemberN(ctx, v.prefix+set, few).Result()
	if err != nil || len(keys) == 0 {
		return 0, false, err
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
		return n, true, err
	}
	members := make([]any, len(keys))
	for i, key := range keys {
		members[i] = key
	}
	return n, len(keys) == few, v.SRem(ctx, v.prefix+set, members...).Err()
}
