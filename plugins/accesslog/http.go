package accesslog

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"mosn.io/moe/plugins/internal/outbound"
)

const (
	maxRequest  = 1 << 20 // bytes of lines in one request, but for a line that is longer by itself
	attempts    = 3       // of one request
	firstPause  = 250 * time.Millisecond
	maxPause    = 5 * time.Second // also where the server asks for more
	maxResponse = 64 << 10
)

// httpOutput posts lines to a server.
type httpOutput struct {
	url     string
	header  http.Header
	client  *http.Client
	closeIt func()
	ctx     context.Context // ended by abort and Close
	cancel  context.CancelFunc

	encode  func(lines []byte) ([]byte, error) // the body for some lines
	refused func(answer []byte) int            // how many lines a good answer refuses
}

// openHTTP makes an output that posts lines as they are: newline-delimited JSON.
func openHTTP(u *url.URL, s *Server) (remote, error) {
	return newHTTP(u, s, "application/x-ndjson", func(lines []byte) ([]byte, error) { return lines, nil }, nil)
}

func newHTTP(
	u *url.URL, s *Server, contentType string, encode func([]byte) ([]byte, error), refused func([]byte) int,
) (*httpOutput, error) {
	client, closeIt, err := s.Client(nil)
	if err != nil {
		return nil, err
	}
	o := &httpOutput{
		url: u.String(), header: http.Header{"Content-Type": {contentType}}, client: client, closeIt: closeIt,
		encode: encode, refused: refused,
	}
	for name, v := range s.Headers {
		o.header.Set(name, v.Reveal())
	}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	return o, nil
}

// Close closes the connections.
func (o *httpOutput) Close() error {
	o.cancel()
	o.closeIt()
	return nil
}

func (o *httpOutput) abort() { o.cancel() }

// send sends lines in as many requests as their size needs. What a request fails with is not the others' fault, unless
// the server cannot be reached or takes nothing at all: then the rest is lost with it.
func (o *httpOutput) send(lines []byte, lost func(line int)) error {
	var failed error
	down := false
	for at := 0; len(lines) > 0; {
		end := split(lines, maxRequest)
		n := bytes.Count(lines[:end], []byte{'\n'})
		rejected := n
		if !down {
			var err error
			if rejected, down, err = o.request(lines[:end], n); err != nil {
				failed = err
			}
		}
		for i := range min(rejected, n) {
			lost(at + i)
		}
		at, lines = at+n, lines[end:]
	}
	return failed
}

// split returns how many bytes of lines go together: whole lines up to a limit, but one at least.
func split(p []byte, limit int) int {
	if len(p) <= limit {
		return len(p)
	}
	if i := bytes.LastIndexByte(p[:limit], '\n'); i >= 0 {
		return i + 1
	}
	if i := bytes.IndexByte(p, '\n'); i >= 0 {
		return i + 1
	}
	return len(p)
}

// request posts n lines, again where that may help. It returns how many of them are lost, and whether others would be, too.
func (o *httpOutput) request(lines []byte, n int) (rejected int, down bool, err error) {
	body, err := o.encode(lines)
	if err != nil {
		return n, false, err
	}
	pause := firstPause
	for attempt := 1; ; attempt++ {
		again, asked, rejected, err := o.post(body)
		switch {
		case err == nil:
			return 0, false, nil
		case rejected > 0:
			return rejected, false, err
		case !again:
			return n, false, err
		case attempt == attempts:
			return n, true, err
		}
		timer := time.NewTimer(min(max(pause, asked), maxPause))
		select {
		case <-timer.C:
		case <-o.ctx.Done():
			timer.Stop()
			return n, true, err
		}
		pause *= 4
	}
}

// post reports whether it may help to try again, how long the server asks to wait before, and how many lines of those
// that it took it has refused.
func (o *httpOutput) post(body []byte) (again bool, pause time.Duration, rejected int, err error) {
	r, err := http.NewRequestWithContext(o.ctx, http.MethodPost, o.url, bytes.NewReader(body))
	if err != nil {
		return false, 0, 0, err
	}
	r.Header = o.header.Clone()
	resp, err := o.client.Do(r)
	if err != nil {
		return true, 0, 0, outbound.Plain(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	switch {
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500:
		seconds, _ := strconv.Atoi(resp.Header.Get("retry-after"))
		return true, time.Duration(min(max(seconds, 0), 60)) * time.Second, 0, fmt.Errorf("the server answers %d", resp.StatusCode)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return false, 0, 0, fmt.Errorf("the server answers %d", resp.StatusCode)
	case err != nil:
		return false, 0, 0, nil // it has taken them
	case o.refused != nil:
		if n := o.refused(answer); n > 0 {
			return false, 0, n, fmt.Errorf("the server has refused %d of the records of a request", n)
		}
	}
	return false, 0, 0, nil
}
