package extproc

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/upstream"
)

// `make soak` runs these for long.
var (
	soakTime    = flag.Duration("soak.duration", 10*time.Second, "how long TestSoak has clients reset")
	soakStreams = flag.Int64("soak.streams", 10_000, "how many streams TestFlat makes")
)

const soakClients = 8

// soakBed starts an Envoy with a listener for each of a few chains, which together do what plugins can.
func soakBed(t *testing.T) (b *bed, p *process, fronts []string) {
	t.Helper()
	bins, err := envoytest.Find()
	if err != nil {
		t.Fatalf("envoytest.Find: %v", err)
	}
	b = &bed{T: t}
	if b.envoy, err = envoytest.Start(envoytest.Options{Binary: bins[0], Dir: t.TempDir(), LogLevel: "error"}); err != nil {
		t.Fatalf("envoytest.Start: %v", err)
	}
	t.Cleanup(func() { b.envoy.Stop() })
	if b.up, err = upstream.Start(); err != nil {
		t.Fatalf("upstream.Start: %v", err)
	}
	t.Cleanup(b.up.Close)
	b.clusters = []m{envoytest.Cluster("up", false, b.up.Addr)}
	p, _ = b.probes()
	probe := func(name string, on ...any) any {
		probe := probe(name, on...)
		probe["id"] = name
		return probe
	}
	front := func(plugin any) {
		addr, err := p.post("/filter?name=moe&quiet=1", wrap(m{"plugins": a{plugin}}))
		if err != nil {
			t.Fatalf("p.post: %v", err)
		}
		front, _ := b.listen(modes("FULL_DUPLEX_STREAMED"), addr)
		fronts = append(fronts, front)
	}
	front(m{"name": "hello"})
	front(probe("probe", "request_headers", "set x-a b; go; sleep 2ms", "response_headers", "go; sleep 1ms"))
	front(probe("probewhole", "request", "body append !", "response", "go; sleep 1ms; body append !"))
	front(probe("probebody", "request_body", "go; body upper", "response_body", "body upper"))
	front(probe("proberequest", "request_headers", "del content-length; pipe upper"))
	front(probe("proberequest", "request_headers", "go; reply 403 no"))
	return b, p, fronts
}

// swarm has clients send requests, of all kinds, until stop says so.
func swarm(fronts []string, stop func() bool, one func(addr string, r client.Request)) {
	var wg sync.WaitGroup
	for i := range soakClients {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			for n := i; !stop(); n++ {
				r := client.Request{Path: "/body/x", H2: random.IntN(2) == 0}
				switch random.IntN(3) {
				case 1:
					r.Path, r.Body = "/mirror", strings.Repeat("b", random.IntN(5000))
				case 2:
					r.Path, r.Chunks = "/mirror", []string{"a", strings.Repeat("b", random.IntN(20_000)), "c"}
					r.Pause = time.Duration(random.IntN(500)) * time.Microsecond
				}
				one(fronts[n%len(fronts)], r)
			}
		})
	}
	wg.Wait()
}

// TestSoak has clients go away at any moment. When they have all gone, the server has no goroutine left.
func TestSoak(t *testing.T) {
	b, p, fronts := soakBed(t)
	end := time.Now().Add(*soakTime)
	var sent, broken atomic.Int64
	swarm(fronts, func() bool { return !time.Now().Before(end) }, func(addr string, r client.Request) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(20_000))*time.Microsecond)
		defer cancel()
		r.Context = ctx
		if rand.IntN(10) == 0 { // at once, in the midst of what is being sent
			if c, err := net.Dial("tcp", addr); err == nil {
				fmt.Fprintf(c, "POST /mirror HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n%s", r.Body[:min(len(r.Body), 500)])
				time.Sleep(time.Duration(rand.IntN(5000)) * time.Microsecond)
				c.(*net.TCPConn).SetLinger(0)
				c.Close()
			}
		}
		sent.Add(1)
		if answer, err := client.Do(addr, r); err != nil || answer.Err != nil {
			broken.Add(1)
		}
	})
	t.Logf("%d requests, of which %d clients did not wait for the end", sent.Load(), broken.Load())
	if broken.Load() == 0 || broken.Load() == sent.Load() {
		t.Error("the clients do not do what they are to do")
	}
	client.Client(true).CloseIdleConnections()
	client.Client(false).CloseIdleConnections()
	b.poll(func() error { return p.idle() })
	if err := b.envoy.Stop(); err != nil { // and with it the connections
		t.Errorf("b.envoy.Stop: %v", err)
	}
	var leaks string
	if err := envoytest.Poll(time.Minute, func() (err error) {
		leaks, err = p.post("/leaks", nil)
		return err
	}); err != nil {
		t.Fatalf("envoytest.Poll: %v", err)
	}
	t.Log(leaks)
	metrics, err := p.post("/metrics", nil)
	if err != nil || !strings.Contains(metrics, "moe_extproc_panics_total 0") {
		t.Errorf("panics: %v\n%s", err, metrics)
	}
}

// idle is an error while streams run.
func (p *process) idle() error {
	metrics, err := p.post("/metrics", nil)
	if err == nil && !strings.Contains(metrics, "moe_extproc_streams_active 0\n") {
		_, active, _ := strings.Cut(metrics, "\nmoe_extproc_streams_active ")
		active, _, _ = strings.Cut(active, "\n")
		err = fmt.Errorf("%s streams are active", active)
	}
	return err
}

// rss is the server's memory.
func (p *process) rss(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	var all, resident int64
	if _, err := fmt.Sscan(string(text), &all, &resident); err != nil {
		t.Fatalf("fmt.Sscan: %v", err)
	}
	return resident * int64(os.Getpagesize())
}

// TestFlat compares the server's memory after each tenth of many streams: it must not grow after the first ones.
func TestFlat(t *testing.T) {
	_, p, fronts := soakBed(t)
	const parts = 10
	var at []int64
	started := time.Now()
	for range parts {
		var n atomic.Int64
		share := *soakStreams / parts
		swarm(fronts, func() bool { return n.Add(1) > share }, func(addr string, r client.Request) {
			r.Pause = 0
			answer, err := client.Do(addr, r)
			if err != nil || answer.Err != nil || answer.Status >= 500 {
				t.Errorf("client.Do: got %+v and error %v, want a status below 500", answer, err)
			}
		})
		at = append(at, p.rss(t))
	}
	var text []string
	for _, n := range at {
		text = append(text, fmt.Sprintf("%.1f", float64(n)/(1<<20)))
	}
	took := time.Since(started)
	t.Logf("%d streams in %v; MiB after each tenth: %s", *soakStreams, took.Round(time.Second), strings.Join(text, " "))
	const slack = 6 << 20 // what the garbage collector may have left at the moment
	if early, late := max(at[1], at[2], at[3]), min(at[parts-1], at[parts-2]); late > early+early/20+slack && !raceEnabled {
		t.Errorf("the server's memory grows: %s MiB", strings.Join(text, " "))
	}
	if err := envoytest.Poll(30*time.Second, p.idle); err != nil {
		t.Errorf("envoytest.Poll: %v", err)
	}
}
