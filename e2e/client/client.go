// Package client is the client before Envoy in tests.
package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Request is a request to send.
type Request struct {
	Method  string // default GET, or POST where there is a body
	Path    string // default /echo
	Host    string
	Header  []string // name, value, name, value …
	Body    string
	Chunks  []string      // a body that is sent, and flushed, chunk by chunk, without content-length
	Reader  io.Reader     // a body from anywhere, without content-length
	Length  int64         // with Reader: content-length
	Trailer []string      // name, value …; the body is chunked then
	Pause   time.Duration // between chunks
	H2      bool
	Context context.Context
}

// Response is the whole response.
type Response struct {
	ID      string // x-id of the request
	Status  int
	Proto   string
	Header  http.Header
	Body    string
	SHA256  string // of the body
	Bytes   int64
	Trailer http.Header
	Err     error // of the body: a reset after the headers
}

// Timeout bounds requests without a context of their own.
var Timeout = 30 * time.Second

var ids atomic.Uint64

// NewID returns a fresh x-id.
func NewID() string { return fmt.Sprintf("id%d", ids.Add(1)) }

var (
	h1 = &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}, CheckRedirect: stay}
	h2 = &http.Client{Transport: h2Transport(), CheckRedirect: stay}
)

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func h2Transport() *http.Transport {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return &http.Transport{Protocols: p, DisableCompression: true}
}

// Client returns the client for HTTP/1.1, or for HTTP/2 with prior knowledge.
func Client(useH2 bool) *http.Client {
	if useH2 {
		return h2
	}
	return h1
}

// Open sends r to addr and returns when the response headers are there.
func Open(addr string, r Request) (string, *http.Response, error) {
	ctx := r.Context
	if ctx == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.Background(), Timeout)
		context.AfterFunc(ctx, cancel)
	}
	path := r.Path
	if path == "" {
		path = "/echo"
	}
	body, length := r.body()
	method := r.Method
	if method == "" {
		method = "GET"
		if body != nil {
			method = "POST"
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+addr+path, body)
	if err != nil {
		return "", nil, err
	}
	req.ContentLength = length
	if body != nil && r.Reader == nil { // to be sent again, where net/http has taken a connection that was just closed
		req.GetBody = func() (io.ReadCloser, error) {
			again, _ := r.body()
			return io.NopCloser(again), nil
		}
	}
	if r.Host != "" {
		req.Host = r.Host
	}
	id := NewID()
	req.Header.Set("x-id", id)
	for i := 0; i+1 < len(r.Header); i += 2 {
		req.Header.Add(r.Header[i], r.Header[i+1])
		if strings.EqualFold(r.Header[i], "x-id") {
			id = r.Header[i+1]
			req.Header.Set("x-id", id)
		}
	}
	if len(r.Trailer) > 0 {
		req.Trailer = http.Header{}
		req.Header.Set("trailer", "x-got") // a Go server drops what was not announced, as what plugins add
		for i := 0; i+1 < len(r.Trailer); i += 2 {
			req.Trailer.Add(r.Trailer[i], r.Trailer[i+1])
		}
	}
	resp, err := Client(r.H2).Do(req)
	return id, resp, err
}

func (r *Request) body() (io.Reader, int64) {
	switch {
	case r.Reader != nil:
		if r.Length == 0 {
			return r.Reader, -1
		}
		return r.Reader, r.Length
	case r.Chunks != nil:
		return &chunks{slices.Clone(r.Chunks), r.Pause}, -1
	case len(r.Trailer) > 0:
		return &chunks{[]string{r.Body}, 0}, -1
	case r.Body != "":
		return strings.NewReader(r.Body), int64(len(r.Body))
	}
	return nil, 0
}

// chunks yields one chunk a Read, which net/http flushes one by one.
type chunks struct {
	rest  []string
	pause time.Duration
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.rest[0])
	if c.rest[0] = c.rest[0][n:]; c.rest[0] == "" {
		c.rest = c.rest[1:]
	}
	if c.pause > 0 {
		time.Sleep(c.pause)
	}
	return n, nil
}

// Do sends r to addr and reads the response to its end. A body that breaks off is Response.Err, not the error.
func Do(addr string, r Request) (*Response, error) {
	id, resp, err := Open(addr, r)
	if err != nil {
		return &Response{ID: id}, err
	}
	return Read(id, resp), nil
}

// Read reads the rest of a response.
func Read(id string, resp *http.Response) *Response {
	defer resp.Body.Close()
	out := &Response{ID: id, Status: resp.StatusCode, Proto: resp.Proto, Header: resp.Header}
	var keep bytes.Buffer
	sum := sha256.New()
	out.Bytes, out.Err = io.Copy(io.MultiWriter(sum, &head{&keep, 1 << 20}), resp.Body)
	out.Body, out.SHA256, out.Trailer = keep.String(), hex.EncodeToString(sum.Sum(nil)), resp.Trailer
	return out
}

// head keeps the first n bytes.
type head struct {
	w io.Writer
	n int
}

func (h *head) Write(p []byte) (int, error) {
	keep := p[:min(len(p), h.n)]
	h.n -= len(keep)
	if _, err := h.w.Write(keep); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Raw writes text to a new connection to addr, with LF as CRLF, and returns what comes back until the peer closes
// or patience has passed.
func Raw(addr, text string, patience time.Duration) (string, error) {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := io.WriteString(c, strings.ReplaceAll(text, "\n", "\r\n")); err != nil {
		return "", err
	}
	c.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(c)
	if len(b) > 0 {
		err = nil
	}
	return string(b), err
}

// CloseIdle closes the connections that no request uses.
func CloseIdle() {
	h1.CloseIdleConnections()
	h2.CloseIdleConnections()
}
