package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// load sends requests over connections, one after the other on each, and returns how many were answered as they should.
func load(addr string, conns int, length time.Duration, greeted bool) (int, error) {
	var wg sync.WaitGroup
	var total atomic.Int64
	var failed atomic.Value
	deadline := time.Now().Add(length)
	for range conns {
		wg.Go(func() {
			n, err := one(addr, deadline, greeted)
			total.Add(int64(n))
			if err != nil {
				failed.Store(err)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, err.(error)
	}
	return int(total.Load()), nil
}

func one(addr string, deadline time.Time, greeted bool) (n int, err error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	r := bufio.NewReader(c)
	request := []byte("GET /path HTTP/1.1\r\nhost: bench.test\r\nuser-agent: bench\r\naccept: */*\r\nx-bench: 0123456789abcdef\r\n\r\n")
	for time.Now().Before(deadline) {
		if _, err := c.Write(request); err != nil {
			return n, err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return n, err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return n, err
		}
		if got := resp.Header.Get("x-extproc-hello") != ""; resp.StatusCode != 200 || got != greeted {
			return n, fmt.Errorf("status %d, header there: %v", resp.StatusCode, got)
		}
		n++
	}
	return n, nil
}
