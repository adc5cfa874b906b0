package dynmod

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"

	"mosn.io/moe/framework/internal/core"
)

// callouts are those of one owner; the owner's lock guards them.
type callouts struct {
	next    uint32
	tokens  map[uint32]*callout // until Envoy has started them
	running map[uint64]*callout // by Envoy's id
}

func (all *callouts) add(c *callout) uint32 {
	if all.tokens == nil {
		all.tokens, all.running = map[uint32]*callout{}, map[uint64]*callout{}
	}
	all.next++
	all.tokens[all.next] = c
	return all.next
}

// end empties the owner and returns what it had.
func (all *callouts) end() (pending []*callout) {
	if all.next == 0 {
		return nil
	}
	for _, c := range all.tokens {
		pending = append(pending, c)
	}
	for _, c := range all.running {
		pending = append(pending, c)
	}
	*all = callouts{}
	return pending
}

// callout is one request over one of Envoy's clusters. Envoy's thread feeds it, a goroutine reads it.
type callout struct {
	who     caller
	request *http.Request
	id      uint64 // Envoy's; the owner's thread only
	started chan error
	head    chan struct{} // closed when response or err is there
	stop    func() bool

	mu       sync.Mutex
	response *http.Response
	body     []byte
	err      error         // io.EOF at the end of the body
	wake     chan struct{} // holds one token when the body or err has changed
	left     bool          // nobody reads it any more
}

// maxUnread is how much of a response Envoy may deliver ahead of its reader: its ABI cannot pause the upstream.
const maxUnread = 16 << 20

var errUnread = errors.New("more than 16 MiB of the response are unread")

func (c *callout) abandoned() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left
}

// await waits for Envoy to have started the request.
func (c *callout) await(ctx context.Context, started chan error) error {
	select {
	case err := <-started:
		return err
	case <-ctx.Done():
		c.reset(context.Cause(ctx))
		return context.Cause(ctx)
	}
}

// begin tells the goroutine that sent the request what has become of its start. Envoy's thread must not wait for one
// that has given up, as fail has told it.
func (c *callout) begin(err error) {
	select {
	case c.started <- err:
	default:
	}
}

// fail ends c with err; what was read before stands.
func (c *callout) fail(err error) {
	c.begin(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	if c.response == nil {
		close(c.head)
	}
	c.signal()
}

// signal wakes the reader. c.mu is held.
func (c *callout) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *callout) headers(fields []core.Field, end bool) {
	header := http.Header{}
	status := 0
	for _, f := range fields {
		if f.Name == ":status" {
			status, _ = strconv.Atoi(f.Value)
		} else if f.Name[0] != ':' {
			header.Add(f.Name, f.Value)
		}
	}
	if status < 200 {
		return // informational
	}
	length := int64(-1)
	if n, err := strconv.ParseInt(header.Get("content-length"), 10, 64); err == nil {
		length = n
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.response != nil || c.err != nil {
		return
	}
	c.response = &http.Response{
		Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Trailer: http.Header{}, ContentLength: length, Body: (*calloutBody)(c), Request: c.request,
	}
	if end {
		c.err = io.EOF
	}
	close(c.head)
}

// data appends to the body; false asks to reset the request.
func (c *callout) data(p []byte, end bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left {
		return false
	}
	c.body = append(c.body, p...)
	if len(c.body) > maxUnread {
		c.err = errUnread
		c.signal()
		return false
	}
	if end && c.err == nil {
		c.err = io.EOF
	}
	c.signal()
	return true
}

func (c *callout) trailers(fields []core.Field) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.response != nil {
		for _, f := range fields {
			c.response.Trailer.Add(f.Name, f.Value)
		}
	}
}

// reset gives the request up.
func (c *callout) reset(err error) {
	c.mu.Lock()
	ended := c.err != nil
	c.left = true
	c.mu.Unlock()
	c.fail(err)
	if !ended {
		_ = c.who.callout(func(w writer, all *callouts) {
			if all.running[c.id] == c {
				delete(all.running, c.id)
				w.resetCallout(c.id)
			}
		}, func() {})
	}
}

// send streams the request's body, a chunk at a time: the next is read when Envoy has taken the one before.
func (c *callout) send(body io.ReadCloser) {
	defer body.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := body.Read(buf)
		if err != nil && err != io.EOF {
			c.reset(err)
			return
		}
		taken := make(chan bool, 1)
		if c.who.callout(func(w writer, all *callouts) {
			running := all.running[c.id] == c
			if running && (n > 0 || err == io.EOF) {
				w.calloutData(c.id, buf[:n], err == io.EOF)
			}
			taken <- running
		}, func() { taken <- false }) != nil {
			return
		}
		select {
		case running := <-taken:
			if !running || err == io.EOF {
				return
			}
		case <-c.request.Context().Done():
			return
		}
	}
}

// calloutBody is the response's body.
type calloutBody callout

func (b *calloutBody) Read(p []byte) (int, error) {
	c := (*callout)(b)
	for {
		c.mu.Lock()
		if len(c.body) > 0 {
			n := copy(p, c.body)
			c.body = c.body[n:]
			c.mu.Unlock()
			return n, nil
		}
		err := c.err
		c.mu.Unlock()
		if err != nil {
			return 0, err
		}
		<-c.wake
	}
}

// Close gives up what has not been read.
func (b *calloutBody) Close() error {
	c := (*callout)(b)
	if c.stop != nil {
		c.stop()
	}
	c.reset(http.ErrBodyReadAfterClose)
	return nil
}
