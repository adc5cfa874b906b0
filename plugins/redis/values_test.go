package redis

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"mosn.io/moe/internal/redistest"
	"mosn.io/moe/plugins/internal/authztest"
	"mosn.io/moe/plugins/internal/store"
)

func TestValues(t *testing.T) {
	for name, c := range map[string]*store.Redis{
		"one server": {Addresses: []string{redistest.Start(t).Addr}},
		"a cluster":  {Addresses: []string{redistest.StartCluster(t, 3)[0].Addr}, Cluster: true},
	} {
		t.Run(name, func(t *testing.T) {
			c.Timeout, c.Connections, c.Prefix = 5*time.Second, 4, "test:"
			v, err := store.OpenValues(c)
			if err != nil {
				t.Fatalf("store.OpenValues: %v", err)
			}
			defer v.Close()
			ctx := t.Context()
			purge := func(ctx context.Context, set string) (n int, err error) {
				for more := true; more && err == nil; {
					var k int
					k, more, err = v.PurgeSome(ctx, set)
					n += k
				}
				return n, err
			}
			if b, err := v.Get(ctx, "none"); b != nil || err != nil {
				t.Errorf("a key that is not there: got %q, %v; want nothing", b, err)
			}
			for i := range 1200 {
				if _, err := v.Set(ctx, fmt.Sprint("k", i), []byte("v\x00\xff"), time.Minute, []string{"all", fmt.Sprint("s", i%2)}, time.Now()); err != nil {
					t.Fatalf("v.Set: %v", err)
				}
			}
			if b, err := v.Get(ctx, "k7"); string(b) != "v\x00\xff" || err != nil {
				t.Errorf("got %q, %v; want the value", b, err)
			}
			if n, err := purge(ctx, "s1"); n != 600 || err != nil {
				t.Errorf("a purge: got %d, %v; want 600", n, err)
			}
			if n, err := purge(ctx, "s1"); n != 0 || err != nil {
				t.Errorf("again: got %d, %v; want 0", n, err)
			}
			if b, _ := v.Get(ctx, "k7"); b != nil {
				t.Errorf("after the purge: got %q, want nothing", b)
			}
			if n, err := purge(ctx, "all"); n != 600 || err != nil {
				t.Errorf("the rest: got %d, %v; want 600", n, err)
			}
			if _, err := v.Set(ctx, "short", []byte("v"), 50*time.Millisecond, []string{"set"}, time.Now()); err != nil {
				t.Fatalf("v.Set: %v", err)
			}
			time.Sleep(100 * time.Millisecond)
			if b, err := v.Get(ctx, "short"); b != nil || err != nil {
				t.Errorf("after its time: got %q, %v; want nothing", b, err)
			}
		})
	}
}

// A value that a purge overtakes does not stay, in whatever order the steps of the two come; one of which it is known that it
// began later does.
func TestSetAndPurge(t *testing.T) {
	for name, c := range map[string]*store.Redis{
		"one server": {Addresses: []string{redistest.Start(t).Addr}},
		"a cluster":  {Addresses: []string{redistest.StartCluster(t, 3)[0].Addr}, Cluster: true},
	} {
		t.Run(name, func(t *testing.T) {
			c.Timeout, c.Connections, c.Prefix = 5*time.Second, 4, "test:"
			v, err := store.OpenValues(c)
			if err != nil {
				t.Fatalf("store.OpenValues: %v", err)
			}
			defer v.Close()
			ctx := t.Context()
			for i := range 200 {
				key, set, since := fmt.Sprint("k", i), fmt.Sprint("s", i), time.Now()
				sets := []string{fmt.Sprint("other", i), set}
				var wg sync.WaitGroup
				wg.Go(func() {
					if _, err := v.Set(ctx, key, []byte("v"), time.Minute, sets, since); err != nil {
						t.Errorf("v.Set: %v", err)
					}
				})
				time.Sleep(time.Duration(i) * 5 * time.Microsecond)
				if _, _, err := v.PurgeSome(ctx, set); err != nil {
					t.Errorf("v.PurgeSome: %v", err)
				}
				wg.Wait()
				if b, err := v.Get(ctx, key); b != nil || err != nil {
					t.Fatalf("after the purge: got %q, %v; want nothing", b, err)
				}
			}
			for _, w := range []struct {
				name string
				ago  time.Duration
			}{
				{name: "since before the purge", ago: time.Minute},
				{name: "since longer than is known", ago: time.Hour},
			} {
				t.Run(w.name, func(t *testing.T) {
					kept, err := v.Set(ctx, "k", []byte("v"), time.Minute, []string{"s199"}, time.Now().Add(-w.ago))
					if b, _ := v.Get(ctx, "k"); kept || err != nil || b != nil {
						t.Errorf("kept %t, %v, got %q; want that it is not kept", kept, err, b)
					}
				})
			}
			t.Run("since after the purge", func(t *testing.T) {
				// The purge counts as later where the time between them is less than the answer takes.
				authztest.Until(t, "a value is kept", func() bool {
					kept, err := v.Set(ctx, "k", []byte("v"), time.Minute, []string{"s199"}, time.Now())
					if b, _ := v.Get(ctx, "k"); err != nil || (b != nil) != kept {
						t.Fatalf("kept %t, %v, got %q; want a value where it is kept", kept, err, b)
					}
					return kept
				})
			})
		})
	}
}
