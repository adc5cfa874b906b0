package remotecheck

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// fake is a store with the two commands.
type fake struct {
	net.Listener
	mu       sync.Mutex
	counts   map[string]int
	accepted int
	seen     []string
	silent   bool
}

func serve(t *testing.T) *fake {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	f := &fake{Listener: l, counts: map[string]int{}}
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			f.mu.Lock()
			f.accepted++
			f.mu.Unlock()
			go f.answer(c)
		}
	}()
	return f
}

func (f *fake) answer(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		var n, size int
		if _, err := fmt.Fscanf(r, "*%d\r\n", &n); err != nil {
			return
		}
		words := make([]string, n)
		for i := range words {
			fmt.Fscanf(r, "$%d\r\n", &size)
			b := make([]byte, size+2)
			io.ReadFull(r, b)
			words[i] = string(b[:size])
		}
		f.mu.Lock()
		f.seen = append(f.seen, strings.Join(words, " "))
		silent := f.silent
		reply := "+OK\r\n"
		if words[0] == "INCR" {
			f.counts[words[1]]++
			reply = fmt.Sprintf(":%d\r\n", f.counts[words[1]])
		}
		f.mu.Unlock()
		if !silent {
			io.WriteString(c, reply)
		}
	}
}

func config(address string) *RemoteCheck {
	return &RemoteCheck{Address: address, Limit: 2, Window: time.Minute, Timeout: 5 * time.Second}
}

func TestLimit(t *testing.T) {
	f := serve(t)
	h := filtertest.New(t, config(f.Addr().String()))
	h.Attrs = map[filter.Attr]string{filter.AttrSourceAddress: "192.0.2.1:5000"}
	for i, want := range []struct {
		status    int
		remaining string
	}{{200, "1"}, {200, "0"}, {429, ""}, {429, ""}} {
		t.Run(fmt.Sprintf("request %d", i+1), func(t *testing.T) {
			r := h.Get("/")
			if r.Status != want.status {
				t.Errorf("got status %d, want %d", r.Status, want.status)
			}
			if r.Upstream != nil && r.Upstream.Header.Get("x-ratelimit-remaining") != want.remaining {
				t.Errorf("got %v, want %s remaining", r.Upstream.Header, want.remaining)
			}
		})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.accepted != 1 {
		t.Error("connections:", f.accepted)
	}
	if got := strings.Join(f.seen[:2], "|"); got != "SET requests:192.0.2.1 0 PX 60000 NX|INCR requests:192.0.2.1" {
		t.Errorf(`strings.Join(f.seen[:2], "|") = %q, want %q`,
			got, "SET requests:192.0.2.1 0 PX 60000 NX|INCR requests:192.0.2.1")
	}
}

func TestStoreThatIsDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	l.Close()
	closed, open := config(l.Addr().String()), config(l.Addr().String())
	open.FailOpen = true
	if r := filtertest.New(t, closed).Get("/"); r.Status != 500 || strings.Contains(r.Body, "127.0.0.1") {
		t.Errorf("r.Status = %d, want 500; r.Body = %q, want it without %q", r.Status, r.Body, "127.0.0.1")
	}
	h := filtertest.New(t, open)
	if r := h.Get("/"); r.Status != 200 || !strings.Contains(h.Log(), "does not answer") {
		t.Errorf("r.Status = %d, want 200; h.Log() = %q, want it to contain %q", r.Status, h.Log(), "does not answer")
	}
	if filtertest.Value(closed.failed) != 1 || filtertest.Value(open.failed) != 1 {
		t.Error("counted", filtertest.Value(closed.failed), filtertest.Value(open.failed))
	}
}

func TestStoreThatIsSilent(t *testing.T) {
	f := serve(t)
	f.silent = true
	p := config(f.Addr().String())
	p.Timeout = 20 * time.Millisecond
	began := time.Now()
	if r := filtertest.New(t, p).Get("/"); r.Status != 500 || time.Since(began) > 10*time.Second {
		t.Errorf("r.Status = %d, want 500; time.Since(began) = %v, want at most %v",
			r.Status, time.Since(began), 10*time.Second)
	}
	if len(p.store.idle) != 0 {
		t.Error("a connection with an open answer is kept")
	}
}
