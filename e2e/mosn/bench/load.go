package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mosn.io/moe/e2e/client"
)

// key says what was measured where.
type key struct {
	workload, protocol, proxy string
}

// sample is one slice of load.
type sample struct {
	micros float64 // CPU of the proxy's process for a request
	rate   float64 // requests a second
}

type target struct {
	key
	workload workload
	addr     string
	pid      int
	h2       bool
}

// targets are all that is loaded in a round.
func (p *proxies) targets() (all []target) {
	for _, w := range workloads {
		for proxy, pid := range map[string]int{"MOSN": p.mosn.Process.Pid, "Envoy": p.envoy.Process.Pid} {
			addr := p.addrs[proxy][w.name]
			if addr == "" {
				continue
			}
			for protocol, h2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
				all = append(all, target{key{w.name, protocol, proxy}, w, addr, pid, h2})
			}
		}
	}
	return all
}

// load keeps the target busy for a slice, after a quarter of it to warm up.
func (t target) load(ctx context.Context, s settings) (sample, error) {
	if _, err := t.send(ctx, s, until(s.slice/4)); err != nil {
		return sample{}, err
	}
	before, err := processCPU(t.pid)
	if err != nil {
		return sample{}, err
	}
	start := time.Now()
	n, err := t.send(ctx, s, until(s.slice))
	if err != nil {
		return sample{}, err
	}
	took := time.Since(start)
	after, err := processCPU(t.pid)
	return sample{float64((after - before).Nanoseconds()) / 1e3 / float64(n), float64(n) / took.Seconds()}, err
}

func until(d time.Duration) func(int64) bool {
	end := time.Now().Add(d)
	return func(int64) bool { return time.Now().Before(end) }
}

// send sends requests as long as more, which is asked with their number so far, says so.
func (t target) send(ctx context.Context, s settings, more func(done int64) bool) (int64, error) {
	var done atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, s.conns)
	for range s.conns {
		wg.Go(func() {
			for more(done.Load()) {
				if err := t.one(ctx); err != nil {
					errs <- err
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return 0, err
	default:
		return done.Load(), nil
	}
}

func (t target) one(ctx context.Context) error {
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if t.workload.body != "" {
		method, body = http.MethodPost, strings.NewReader(t.workload.body)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+t.addr+"/", body)
	if err != nil {
		return err
	}
	for i := 0; i+1 < len(t.workload.header); i += 2 {
		req.Header.Set(t.workload.header[i], t.workload.header[i+1])
	}
	resp, err := client.Client(t.h2).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || n != int64(len(answer))) {
		err = fmt.Errorf("status %d with %d bytes", resp.StatusCode, n)
	}
	return err
}

// answer is what the upstream says.
const answer = "ok\n"

type upstreamServer struct {
	*http.Server
	addr string
}

func startUpstream() (*upstreamServer, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	s := &http.Server{Protocols: p, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, answer)
	})}
	go func() { _ = s.Serve(ln) }()
	return &upstreamServer{s, ln.Addr().String()}, nil
}

// processCPU is what all threads of a process have computed, as the scheduler accounts it.
func processCPU(pid int) (total time.Duration, err error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, t := range tasks {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, t.Name()))
		if err != nil {
			continue // a thread that has ended
		}
		first, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, err
		}
		total += time.Duration(n)
	}
	return total, err
}
