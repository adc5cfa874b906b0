package redis

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/internal/redistest"
	"mosn.io/moe/plugins/internal/store"
)

const adds = `return {redis.call('INCRBY', KEYS[1], ARGV[1]), redis.call('DBSIZE')}`

func connect(t *testing.T, c *store.Redis, script string) store.Client {
	t.Helper()
	c.Timeout, c.Connections = 5*time.Second, 4
	cl, err := store.Open(c, script)
	if err != nil {
		t.Fatalf("store.Open: %v", err)
	}
	t.Cleanup(func() {
		if err := cl.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return cl
}

// sum runs the script once for each key and returns the first numbers.
func sum(t *testing.T, cl store.Client, keys ...string) (got []int64) {
	t.Helper()
	calls := make([]*store.Call, len(keys))
	for i, k := range keys {
		calls[i] = &store.Call{Key: k, Args: []any{2}}
	}
	cl.Run(t.Context(), calls)
	for _, c := range calls {
		if c.Err != nil || len(c.Numbers) != 2 {
			t.Fatalf("key %q: got %v, %v; want two numbers", c.Key, c.Numbers, c.Err)
		}
		got = append(got, c.Numbers[0])
	}
	return got
}

func TestRun(t *testing.T) {
	s := redistest.Start(t)
	cl := connect(t, &store.Redis{Addresses: []string{s.Addr}}, adds)
	if got := sum(t, cl, "a", "b", "a", "\xff\x00"); fmt.Sprint(got) != "[2 2 4 2]" {
		t.Errorf("got %v, want [2 2 4 2]", got)
	}
	s.Kill()
	s.Restart() // it does not know the script any more
	if got := sum(t, cl, "a"); fmt.Sprint(got) != "[2]" {
		t.Errorf("after a restart: got %v, want [2]", got)
	}
}

func TestErrors(t *testing.T) {
	s := redistest.Start(t)
	for name, script := range map[string]string{
		"error": `return redis.error_reply('no')`, "syntax": `return`[:3], "text": `return 'x'`, "texts": `return {'x'}`,
	} {
		t.Run(name, func(t *testing.T) {
			call := &store.Call{Key: "k"}
			connect(t, &store.Redis{Addresses: []string{s.Addr}}, script).Run(t.Context(), []*store.Call{call})
			if call.Err == nil {
				t.Errorf("got %v, want an error", call.Numbers)
			}
		})
	}
	t.Run("paused", func(t *testing.T) {
		cl := connect(t, &store.Redis{Addresses: []string{s.Addr}}, adds)
		sum(t, cl, "a")
		s.Pause()
		defer s.Resume()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		call, start := &store.Call{Key: "a", Args: []any{1}}, time.Now()
		if cl.Run(ctx, []*store.Call{call}); call.Err == nil || time.Since(start) > 3*time.Second {
			t.Errorf("got %v after %v, want an error at the deadline", call.Err, time.Since(start))
		}
	})
	t.Run("password", func(t *testing.T) {
		s := redistest.Start(t, "--requirepass", "geheim")
		call := &store.Call{Key: "a", Args: []any{1}}
		connect(t, &store.Redis{Addresses: []string{s.Addr}}, adds).Run(t.Context(), []*store.Call{call})
		if call.Err == nil || !strings.Contains(call.Err.Error(), "NOAUTH") {
			t.Errorf("got %v, want NOAUTH", call.Err)
		}
	})
}

// Keys of a cluster of three are on three servers; one pipeline reaches them all.
func TestCluster(t *testing.T) {
	var addrs []string
	for range 3 {
		s := redistest.Start(t, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf")
		addrs = append(addrs, s.Addr)
	}
	join := append(append([]string{"--cluster", "create"}, addrs...), "--cluster-yes", "--cluster-replicas", "0")
	if out, err := exec.Command("redis-cli", join...).CombinedOutput(); err != nil {
		t.Fatalf("redis-cli %v: %v\n%s", join, err, out)
	}
	cl := connect(t, &store.Redis{Addresses: addrs[:1], Cluster: true}, adds)
	keys := make([]string, 100)
	for i := range keys {
		keys[i] = fmt.Sprint("key", i)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) { // until all nodes agree
		call := []*store.Call{{Key: "a", Args: []any{1}}, {Key: "b", Args: []any{1}}, {Key: "c", Args: []any{1}}}
		if cl.Run(t.Context(), call); call[0].Err == nil && call[1].Err == nil && call[2].Err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatalf("the cluster does not answer: %v", call[0].Err)
		}
	}
	for want := int64(2); want <= 4; want += 2 {
		for i, n := range sum(t, cl, keys...) {
			if n != want {
				t.Errorf("%s: got %d, want %d", keys[i], n, want)
			}
		}
	}
}

func TestSentinel(t *testing.T) {
	s := redistest.Start(t)
	host, port, _ := net.SplitHostPort(s.Addr)
	sentinel := redistest.StartSentinel(t, "primary", host, port)
	cl := connect(t, &store.Redis{Addresses: []string{sentinel.Addr}, Master: "primary"}, adds)
	if got := sum(t, cl, "a"); fmt.Sprint(got) != "[2]" {
		t.Errorf("got %v, want [2]", got)
	}
}
