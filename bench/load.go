package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"syscall"
)

// A client keeps requests in flight on each of its connections, from one thread and without memory that a garbage
// collector would have to visit: it shares two cores with the Envoy that it measures. It sends depth requests in one
// piece, and the next ones when it has all responses.
type client struct {
	poll    int
	conns   map[int32]*conn
	depth   int
	request []byte // depth times

	requests [][]byte // sent in turn instead of request, if there are any
	turn     int
	body     []byte // what every response must carry, or nil for any
	events   []syscall.EpollEvent
}

type conn struct {
	fd     int
	buf    []byte
	have   int
	flying int
}

// dial opens n connections to 127.0.0.1:port. Every response must have status 200 and fit into size bytes.
func dial(port, n, depth, size int, request, body []byte) (c *client, err error) {
	c = &client{
		conns: map[int32]*conn{}, depth: depth, request: bytes.Repeat(request, depth), body: body,
		events: make([]syscall.EpollEvent, n),
	}
	if c.poll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	for range n {
		if err = c.connect(port, size); err != nil {
			c.close()
			return nil, fmt.Errorf("connecting to port %d: %w", port, err)
		}
	}
	return c, nil
}

func (c *client) connect(port, size int) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	c.conns[int32(fd)] = &conn{fd: fd, buf: make([]byte, size)}
	if err = syscall.Connect(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	if err = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		return err
	}
	return syscall.EpollCtl(c.poll, syscall.EPOLL_CTL_ADD, fd,
		&syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
}

func (c *client) close() {
	for _, k := range c.conns {
		syscall.Close(k.fd)
	}
	syscall.Close(c.poll)
}

// run sends requests until more, asked after every wave of responses with their number so far, says no, waits for what
// is in flight then, and returns how many responses came.
func (c *client) run(more func(done int) bool) (done int, err error) {
	for _, k := range c.conns {
		if err := c.send(k); err != nil {
			return done, err
		}
	}
	for sending, active := true, len(c.conns); active > 0; {
		n, err := syscall.EpollWait(c.poll, c.events, -1)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return done, err
		}
		for _, e := range c.events[:n] {
			k := c.conns[e.Fd]
			whole, err := c.receive(k)
			if err != nil {
				return done, err
			}
			done += whole
			if k.flying > 0 {
				continue
			}
			if !sending {
				active--
			} else if err := c.send(k); err != nil {
				return done, err
			}
		}
		sending = sending && more(done)
	}
	return done, nil
}

// send writes to a blocking socket.
func (c *client) send(k *conn) error {
	k.flying = c.depth
	p := c.request
	if len(c.requests) > 0 {
		p = c.requests[c.turn%len(c.requests)]
		c.turn++
	}
	for len(p) > 0 {
		n, err := syscall.Write(k.fd, p)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("sending: %w", err)
		}
		p = p[n:]
	}
	return nil
}

// receive reads what has come, and returns how many responses that completes.
func (c *client) receive(k *conn) (whole int, err error) {
	n, err := syscall.Read(k.fd, k.buf[k.have:])
	switch {
	case err == syscall.EINTR:
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("receiving: %w", err)
	case n == 0:
		return 0, fmt.Errorf("receiving: %w", io.ErrUnexpectedEOF)
	}
	k.have += n
	p := k.buf[:k.have]
	for len(p) > 0 {
		body, size, err := parse(p)
		if err != nil {
			return whole, err
		}
		if size == 0 || len(p) < size {
			break
		}
		if c.body != nil && !bytes.Equal(p[body:size], c.body) {
			return whole, errors.New("the body of a response is not that of its request")
		}
		p = p[size:]
		whole++
		if k.flying--; k.flying < 0 {
			return whole, errors.New("more came than the responses")
		}
	}
	k.have = copy(k.buf, p)
	if k.have == len(k.buf) {
		return whole, fmt.Errorf("a response is longer than %d bytes", len(k.buf))
	}
	return whole, nil
}

var (
	statusOK   = []byte("HTTP/1.1 200 ")
	headersEnd = []byte("\r\n\r\n")
	// lengths is content-length as Envoy writes it, and as net/http does.
	lengths = [][]byte{[]byte("\r\ncontent-length: "), []byte("\r\nContent-Length: ")}
)

// parse returns where the body of the response in p begins and where it ends, 0 and 0 while its headers are not
// complete. Every response must have a length.
func parse(p []byte) (body, size int, err error) {
	i := bytes.Index(p, headersEnd)
	if i < 0 {
		return 0, 0, nil
	}
	if !bytes.HasPrefix(p, statusOK) {
		return 0, 0, fmt.Errorf("not a response with status 200: %.80q", p)
	}
	body = i + len(headersEnd)
	head := p[:i+2]
	j := -1
	for k := 0; k < len(lengths) && j < 0; k++ {
		j = bytes.Index(head, lengths[k])
	}
	if j < 0 {
		return 0, 0, errors.New("a response without content-length")
	}
	number := head[j+len(lengths[0]):]
	n, err := strconv.Atoi(string(number[:bytes.IndexByte(number, '\r')]))
	if err != nil || n < 0 {
		return 0, 0, errors.New("a response with a wrong content-length")
	}
	return body, body + n, nil
}

// get is the request of the load: what a small client sends, the header that filters read, and more headers if asked.
func get(path string, extra int, fields ...string) []byte {
	b := []byte("GET " + path + " HTTP/1.1\r\nhost: bench.example\r\nuser-agent: bench\r\naccept: */*\r\n" +
		input + ": " + value + "\r\n")
	for i := range extra {
		b = fmt.Appendf(b, "x-extra-%d: some value of a usual length\r\n", i)
	}
	for _, f := range fields {
		b = append(append(b, f...), "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// post is a request that carries body.
func post(path string, body []byte) []byte {
	b := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nhost: bench.example\r\n%s: %s\r\ncontent-length: %d\r\n\r\n",
		path, input, value, len(body))
	return append(b, body...)
}
