package bridge

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/envoytest"
)

// ops are the operations of the plugin stress, each with the statuses that clients may see.
var ops = []struct {
	name     string
	body     bool
	statuses []int
}{
	{"", false, []int{200}},
	{"async", false, []int{200}},
	{"reply", false, []int{403}},
	{"panic", false, []int{500}},
	{"panic_async", false, []int{500}},
	{"twice", false, []int{200}},
	{"late", false, []int{200}},
	{"hammer", false, []int{200}},
	{"cluster", false, []int{200}},
	{"after", true, []int{200}},
	{"buffer", true, []int{200}},
	{"slow", true, []int{200}},
	{"reply_data", true, []int{403}},
	{"panic_data", true, []int{500}},
	{"encode_async", true, []int{200}},
	{"encode_reply", false, []int{403}},
}

// drain is the time after which Envoy ends what still runs on a listener that it replaced; see envoytest.
const drain = 900 * time.Millisecond

// load runs clients for a while; it returns how many requests were answered, and what was wrong.
func (s *site) load(clients int, d time.Duration) (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var done atomic.Int64
	errs := make(chan error, clients)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			for ctx.Err() == nil {
				if err := s.oneOf(c); err != nil {
					errs <- err
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	select {
	case err := <-errs:
		return done.Load(), err
	default:
		return done.Load(), nil
	}
}

// oneOf sends a random request; some are cancelled.
func (s *site) oneOf(c *http.Client) error {
	op := ops[rand.IntN(len(ops))]
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	quits := rand.IntN(4) == 0
	if quits {
		time.AfterFunc(time.Duration(rand.IntN(5000))*time.Microsecond, cancel)
	}
	var body io.Reader
	if op.body {
		body = &chunks{left: 1 + rand.IntN(8), size: 1 + rand.IntN(20000)}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+"/?op="+op.name, body)
	if err != nil {
		return err
	}
	from := time.Now()
	resp, err := c.Do(r)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	switch {
	case quits || time.Since(from) > drain:
		return nil
	case err != nil:
		return fmt.Errorf("op %q: %w, after %v", op.name, err, time.Since(from))
	}
	for _, status := range op.statuses {
		if resp.StatusCode == status {
			return nil
		}
	}
	return fmt.Errorf("op %q: got status %d, want one of %v", op.name, resp.StatusCode, op.statuses)
}

// chunks is a body that arrives slowly.
type chunks struct{ left, size int }

func (c *chunks) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	c.left--
	time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
	return copy(p, strings.Repeat("x", min(c.size, len(p)))), nil
}

// counts returns how many objects are alive on both sides.
func (s *site) counts(t *testing.T) map[string]int {
	t.Helper()
	n := map[string]int{}
	body := s.do(t, client.Request{Path: "/?op=counts"}).Body
	for line := range strings.Lines(body) {
		var name string
		var v int
		if _, err := fmt.Sscan(line, &name, &v); err == nil {
			n[name] = v
		}
	}
	return n
}

func TestStress(t *testing.T) {
	onEnvoys(t, func(t *testing.T, b *bed) {
		l := listen{
			plugin: "stress", config: m{"set": 0},
			vhost:  m{"typed_per_filter_config": forRoute("stress", m{"set": 1})},
			answer: func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) },
		}
		s := b.serve(t, l)
		round := func(d time.Duration) {
			var answered atomic.Int64
			var failed error
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				n, err := s.load(32, d)
				answered.Add(n)
				failed = err
			}()
			reloads := 0
			for running := true; running; {
				select {
				case <-ended:
					running = false
				case <-time.After(200 * time.Millisecond):
					reloads++
					l.config = m{"set": reloads}
					b.mu.Lock()
					b.listeners[0] = s.listener(l)
					b.mu.Unlock()
					if err := b.push(); err != nil {
						t.Errorf("reload %d: %v", reloads, err)
						running = false
						<-ended
					}
				}
			}
			t.Logf("%d requests, %d reloads", answered.Load(), reloads)
			if failed != nil {
				t.Errorf("first request that failed: %v", failed)
			}
		}
		settle := func() {
			// One configuration, merged with one route's, and the request that counts.
			want := map[string]int{"filters": 1, "parsed": 3, "requests": 1, "configs": 1, "routes": 1}
			if err := envoytest.Poll(60*time.Second, func() error {
				got := s.counts(t)
				for name, n := range want {
					if got[name] != n {
						return fmt.Errorf("%d %s live, want %d (all: %v)", got[name], name, n, got)
					}
				}
				return nil
			}); err != nil {
				t.Errorf("envoytest.Poll: %v", err)
			}
		}
		rss := func() int64 {
			n, err := b.RSS()
			if err != nil {
				t.Fatalf("b.RSS: %v", err)
			}
			return n >> 20
		}
		length := 4 * time.Second
		round(length)
		settle()
		first := rss()
		round(length)
		settle()
		second := rss()
		t.Logf("RSS: %d MiB, then %d MiB", first, second)
		if os.Getenv("BRIDGE_PRELOAD") == "" && second > first+64 {
			t.Errorf("RSS grew from %d MiB to %d MiB", first, second)
		}
	})
}
