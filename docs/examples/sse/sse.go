// Package sse adds events to a stream of server-sent events.
//
// It shows Pipe: the body of a response goes through a function that reads and writes as any Go program does, on a
// goroutine of its own, while it streams. Reads wait for the upstream; what is written goes to the client before the
// next read. An error resets the stream. Because the length changes, content-length has to go.
package sse

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"mime"

	"mosn.io/moe/framework/filter"
)

// SSE tells the client, after every n events, how many there were.
type SSE struct {
	// Every is n.
	Every int `json:"every" default:"10" validate:"min=1"`
}

func init() { filter.Register[SSE]("sse", filter.Transform) }

// maxLine is the longest line of an event.
const maxLine = 1 << 20

// Validate refuses to count after every 0 events.
func (p *SSE) Validate() error {
	if p.Every < 1 {
		return fmt.Errorf("every: must be 1 at least")
	}
	return nil
}

// OnResponseHeaders takes event streams that it can read.
func (p *SSE) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, endStream bool) filter.Action {
	kind, _, _ := mime.ParseMediaType(h.Get("content-type"))
	if endStream || kind != "text/event-stream" || h.Has("content-encoding") {
		return filter.Continue
	}
	h.Del("content-length")
	return filter.Pipe(p.inject)
}

func (p *SSE) inject(_ context.Context, w io.Writer, r io.Reader) error {
	n, data, lines := 0, false, bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if _, err := fmt.Fprintf(w, "%s\n", lines.Bytes()); err != nil {
			return err
		}
		if len(lines.Bytes()) > 0 {
			data = true
			continue
		}
		if !data { // empty lines end an event once
			continue
		}
		data = false
		if n++; n%p.Every == 0 {
			if _, err := fmt.Fprintf(w, "event: count\ndata: %d\n\n", n); err != nil {
				return err
			}
		}
	}
	return lines.Err()
}
