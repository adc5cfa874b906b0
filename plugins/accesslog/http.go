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
	ctx     context.Context // ended by Close
	cancel  context.CancelFunc

	encode func(lines []byte) ([]byte, error) // the body for some lines
	accept func(answer []byte) error          // what a good status still may refuse
}

// openHTTP makes an output that posts lines as they are: newline-delimited JSON.
func openHTTP(u *url.URL, s *Server) (destination, error) {
	return newHTTP(u, s, "application/x-ndjson", func(lines []byte) ([]byte, error) { return lines, nil }, nil)
}

func newHTTP(
	u *url.URL, s *Server, contentType string, encode func([]byte) ([]byte, error), accept func([]byte) error,
) (*httpOutput, error) {
	client, closeIt, err := s.Client(nil)
	if err != nil {
		return nil, err
	}
	o := &httpOutput{
		url: u.String(), header: http.Header{"Content-Type": {contentType}}, client: client, closeIt: closeIt,
		encode: encode, accept: accept,
	}
	for name, v := range s.Headers {
		o.header.Set(name, v.Reveal())
	}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	return o, nil
}

// Refresh does nothing.
func (*httpOutput) Refresh() error { return nil }

// Close ends what is under way.
func (o *httpOutput) Close() error {
	o.cancel()
	o.closeIt()
	return nil
}

// Write sends whole lines, in as many requests as their size needs.
func (o *httpOutput) Write(p []byte) (n int, err error) {
	for n < len(p) {
		end := split(p[n:], maxRequest)
		if err := o.send(p[n : n+end]); err != nil {
			return n, err
		}
		n += end
	}
	return n, nil
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

// send posts some lines, again where that may help.
func (o *httpOutput) send(lines []byte) error {
	body, err := o.encode(lines)
	if err != nil {
		return err
	}
	pause := firstPause
	for attempt := 1; ; attempt++ {
		again, asked, err := o.post(body)
		if err == nil || !again || attempt == attempts {
			return err
		}
		timer := time.NewTimer(min(max(pause, asked), maxPause))
		select {
		case <-timer.C:
		case <-o.ctx.Done():
			timer.Stop()
			return err
		}
		pause *= 4
	}
}

// post reports whether it may help to try again, and how long the server asks to wait before.
func (o *httpOutput) post(body []byte) (again bool, pause time.Duration, err error) {
	r, err := http.NewRequestWithContext(o.ctx, http.MethodPost, o.url, bytes.NewReader(body))
	if err != nil {
		return false, 0, err
	}
	r.Header = o.header.Clone()
	resp, err := o.client.Do(r)
	if err != nil {
		return true, 0, outbound.Plain(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	switch {
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500:
		seconds, _ := strconv.Atoi(resp.Header.Get("retry-after"))
		return true, time.Duration(min(max(seconds, 0), 60)) * time.Second, fmt.Errorf("the server answers %d", resp.StatusCode)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return false, 0, fmt.Errorf("the server answers %d", resp.StatusCode)
	case err != nil:
		return false, 0, nil // it has taken them
	case o.accept != nil:
		return false, 0, o.accept(answer)
	}
	return false, 0, nil
}
