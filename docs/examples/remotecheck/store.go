package remotecheck

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// store speaks as much of the Redis protocol as counting takes, over connections that it keeps.
type store struct {
	address string
	mu      sync.Mutex
	idle    []*conn
	closed  bool
}

type conn struct {
	net.Conn
	r *bufio.Reader
}

const maxIdle = 16

func newStore(address string) *store { return &store{address: address} }

// count counts one request under key and returns how many there were since the key was made, window ago at most.
// Both commands travel together; the first makes the key, with its end, if it is not there.
func (s *store) count(ctx context.Context, key string, window time.Duration) (n int, err error) {
	c, err := s.get(ctx)
	if err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) }) // also when the client goes away
	defer func() { s.put(c, stop() && err == nil) }()
	ms := strconv.FormatInt(window.Milliseconds(), 10)
	if _, err = c.Write([]byte(command("SET", key, "0", "PX", ms, "NX") + command("INCR", key))); err != nil {
		return 0, err
	}
	if _, err = c.line(); err != nil {
		return 0, err
	}
	text, err := c.line()
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimPrefix(text, ":"))
}

// command encodes words so that none of them can be taken for two.
func command(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

// line reads a reply of one line, as all are that these commands have.
func (c *conn) line() (string, error) {
	line, err := c.r.ReadSlice('\n') // no longer than the buffer
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(string(line), "\r\n")
	if strings.HasPrefix(text, "-") {
		return "", fmt.Errorf("the store says %q", text[1:])
	}
	return text, nil
}

// get returns a connection, an idle one if there is one.
func (s *store) get(ctx context.Context) (*conn, error) {
	s.mu.Lock()
	if n := len(s.idle); n > 0 {
		c := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		return c, nil
	}
	s.mu.Unlock()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	return &conn{c, bufio.NewReader(c)}, nil
}

// put keeps c for the next request if it is in order. If not, an answer may be on its way that no one has asked for,
// and the idle ones may be as dead as it is.
func (s *store) put(c *conn, inOrder bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case inOrder && !s.closed && len(s.idle) < maxIdle:
		s.idle = append(s.idle, c)
		return
	case !inOrder:
		s.drop()
	}
	c.Close()
}

// drop closes the idle connections. s.mu is held.
func (s *store) drop() {
	for _, c := range s.idle {
		c.Close()
	}
	s.idle = nil
}

// Close closes the idle connections; those in use follow when they come back.
func (s *store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.drop()
	return nil
}
