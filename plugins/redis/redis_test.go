package redis

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/internal/redistest"
	"mosn.io/moe/internal/testcert"
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
	nodes := redistest.StartCluster(t, 3)
	cl := connect(t, &store.Redis{Addresses: []string{nodes[0].Addr}, Cluster: true}, adds)
	keys := make([]string, 100)
	for i := range keys {
		keys[i] = fmt.Sprint("key", i)
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

// A server that wants certificates of its clients takes those with the right one, and clients take only a server that
// their authority has signed.
func TestTLS(t *testing.T) {
	ours, theirs := testcert.New(t, t.TempDir()), testcert.New(t, t.TempDir())
	cert, key := ours.Issue(t, "client", "client")
	foreign, foreignKey := theirs.Issue(t, "client", "client")
	s := redistest.StartTLS(t, ours)
	for _, c := range []struct {
		name string
		tls  store.TLS
		want string // in the error
	}{
		{name: "mutual", tls: store.TLS{CAFile: ours.File, CertFile: cert, KeyFile: key}},
		{name: "name", tls: store.TLS{CAFile: ours.File, CertFile: cert, KeyFile: key, ServerName: "redis.example"}},
		{name: "other name", tls: store.TLS{CAFile: ours.File, CertFile: cert, KeyFile: key, ServerName: "other.example"}, want: "other.example"},
		{name: "system's authorities", tls: store.TLS{CertFile: cert, KeyFile: key}, want: "x509"},
		{name: "other authority", tls: store.TLS{CAFile: theirs.File, CertFile: cert, KeyFile: key}, want: "x509"},
		{name: "no certificate", tls: store.TLS{CAFile: ours.File}, want: "tls"},
		{name: "foreign certificate", tls: store.TLS{CAFile: ours.File, CertFile: foreign, KeyFile: foreignKey}, want: "tls"},
	} {
		t.Run(c.name, func(t *testing.T) {
			call := &store.Call{Key: c.name, Args: []any{2}}
			connect(t, &store.Redis{Addresses: []string{s.TLSAddr}, TLS: &c.tls}, adds).Run(t.Context(), []*store.Call{call})
			switch {
			case c.want == "" && (call.Err != nil || len(call.Numbers) == 0 || call.Numbers[0] != 2):
				t.Errorf("got %v, %v; want 2", call.Numbers, call.Err)
			case c.want != "" && (call.Err == nil || !strings.Contains(call.Err.Error(), c.want)):
				t.Errorf("got %v, %v; want an error with %q", call.Numbers, call.Err, c.want)
			}
		})
	}
	t.Run("not encrypted", func(t *testing.T) {
		call := &store.Call{Key: "a", Args: []any{1}}
		connect(t, &store.Redis{Addresses: []string{s.TLSAddr}}, adds).Run(t.Context(), []*store.Call{call})
		if call.Err == nil {
			t.Errorf("got %v, want an error", call.Numbers)
		}
	})
}
