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

const (
	purgedFor = 2 * time.Minute // for how long it is known that a set was purged: no value that is older may be stored
	unsure    = 5 * time.Second // for how long a value stays of which nobody has yet found out whether it may
)

// marker is the key that says, by the time that is left to it, when a set was purged.
func (v *values) marker(set string) string { return v.prefix + set + ":purged" }

// Set is that of store.Values. A set lasts as long as the value that lasts longest. A key is in its sets before its value is
// there: whatever fails in between, a value that is there can be removed by its sets. A purge marks the set first and then
// removes what is in it. So it removes the value, or its mark is there when the value is: the marks are looked at before and
// after. In a cluster all of these are on different nodes, where no script could do this at once.
func (v *values) Set(
	ctx context.Context, key string, value []byte, ttl time.Duration, sets []string, since time.Time,
) (kept bool, err error) {
	pipe := v.Pipeline()
	for _, s := range sets {
		pipe.SAdd(ctx, v.prefix+s, key)
		pipe.ExpireNX(ctx, v.prefix+s, ttl+time.Second)
		pipe.ExpireGT(ctx, v.prefix+s, ttl+time.Second)
	}
	if purged, err := v.purged(ctx, pipe, sets, since); err != nil || purged {
		return false, err
	}
	if err := v.UniversalClient.Set(ctx, v.prefix+key, value, min(ttl, unsure)).Err(); err != nil {
		return false, err
	}
	purged, err := v.purged(ctx, v.Pipeline(), sets, since)
	switch {
	case err != nil:
		return false, err
	case purged:
		return false, v.Unlink(ctx, v.prefix+key).Err()
	case ttl > unsure:
		err = v.PExpire(ctx, v.prefix+key, ttl).Err()
	}
	return err == nil, err
}

// purged carries out a pipeline and reports whether one of the sets has been purged since then. It compares durations only, as
// the server's clock may be another.
func (v *values) purged(ctx context.Context, pipe redis.Pipeliner, sets []string, since time.Time) (bool, error) {
	left := make([]*redis.DurationCmd, len(sets))
	for i, s := range sets {
		left[i] = pipe.PTTL(ctx, v.marker(s))
	}
	if len(sets) > 0 {
		if _, err := pipe.Exec(ctx); err != nil {
			return false, err
		}
	}
	age := time.Since(since) + 2*time.Millisecond // a PTTL is rounded
	if age >= purgedFor {
		return true, nil
	}
	for _, l := range left {
		if l.Val() > 0 && purgedFor-l.Val() <= age {
			return true, nil
		}
	}
	return false, nil
}

// PurgeSome is that of store.Values. Keys leave the set once their values are gone, so that what fails can be done again.
func (v *values) PurgeSome(ctx context.Context, set string) (n int, more bool, err error) {
	const few = 500 // at a time, so that the server goes on with other things
	if err := v.UniversalClient.Set(ctx, v.marker(set), "", purgedFor).Err(); err != nil {
		return 0, false, err
	}
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
