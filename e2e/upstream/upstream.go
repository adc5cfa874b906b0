// Package upstream is the server behind Envoy in tests. It speaks HTTP/1.1 and HTTP/2 with prior knowledge on one
// port, does what the path asks for, and records every request under its x-id header.
package upstream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"net"
	"net/http"
	"sync"
	"time"

	"mosn.io/moe/e2e/envoytest"
)

// Seen is a request as the server saw it.
type Seen struct {
	Method, Path, Host, Proto string
	Header                    http.Header
	ContentLength             int64

	// The following fields are valid once Done is set.
	Done    bool
	Bytes   int64
	SHA256  string
	Body    string // its first 64 KiB
	Trailer http.Header
	Err     error // of reading the body, or why the client went away
}

// Server is a running upstream.
type Server struct {
	Addr string // host:port

	http *http.Server
	mu   sync.Mutex
	seen map[string][]*Seen
	hits map[string]int // of /flaky
}

// Start starts a server on a free port of 127.0.0.1.
func Start() (*Server, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{Addr: ln.Addr().String(), seen: map[string][]*Seen{}, hits: map[string]int{}}
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	s.http = &http.Server{Handler: s.handler(), Protocols: p}
	go s.http.Serve(ln)
	return s, nil
}

// Close stops the server.
func (s *Server) Close() { s.http.Close() }

// Seen returns the requests with x-id id so far, copied.
func (s *Server) Seen(id string) []Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Seen
	for _, v := range s.seen[id] {
		out = append(out, *v)
	}
	return out
}

// Wait waits until n requests with x-id id are done and returns them.
func (s *Server) Wait(id string, n int, patience time.Duration) ([]Seen, error) {
	var seen []Seen
	err := envoytest.Poll(patience, func() error {
		done := 0
		seen = s.Seen(id)
		for _, v := range seen {
			if v.Done {
				done++
			}
		}
		if done < n {
			return &countError{id, done, n}
		}
		return nil
	})
	return seen, err
}

// Forget drops what was seen, for tests that send more than memory holds.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.seen)
	clear(s.hits)
}

type record struct {
	s   *Server
	v   *Seen
	sum hash.Hash
}

func (s *Server) record(r *http.Request) *record {
	v := &Seen{
		Method: r.Method, Path: r.RequestURI, Host: r.Host, Proto: r.Proto, Header: r.Header.Clone(),
		ContentLength: r.ContentLength,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id := r.Header.Get("x-id")
	s.seen[id] = append(s.seen[id], v)
	return &record{s, v, sha256.New()}
}

func (c *record) data(p []byte) {
	c.sum.Write(p)
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.v.Bytes += int64(len(p))
	if room := 64<<10 - len(c.v.Body); room > 0 {
		c.v.Body += string(p[:min(room, len(p))])
	}
}

func (c *record) done(r *http.Request, err error) {
	if err == nil {
		if cause := context.Cause(r.Context()); cause != nil {
			err = cause
		}
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.v.Done {
		return
	}
	c.v.Done, c.v.Err, c.v.Trailer = true, err, r.Trailer.Clone()
	c.v.SHA256 = hex.EncodeToString(c.sum.Sum(nil))
}
