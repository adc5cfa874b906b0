package filter_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"

	"mosn.io/moe/framework/filter"
)

// Shout changes whole requests. As it has no OnRequestHeaders, every request is held until its body is complete.
type Shout struct{}

// Numbers numbers the lines of responses as they stream.
type Numbers struct{}

// Sniffer looks at the beginning of a request, and lets the rest stream.
type Sniffer struct{}

func init() {
	filter.Register[Shout]("shout", filter.Transform)
	filter.Register[Numbers]("numbers", filter.Transform)
	filter.Register[Sniffer]("sniffer", filter.Access)
}

func (*Shout) OnRequest(_ filter.Stream, _ filter.RequestHeaders, b filter.Body) filter.Action {
	b.Set(append(bytes.ToUpper(b.Bytes()), '!')) // content-length follows
	return filter.Continue
}

func (*Numbers) OnResponseHeaders(_ filter.Stream, _ filter.ResponseHeaders, _ bool) filter.Action {
	return filter.Pipe(func(_ context.Context, w io.Writer, r io.Reader) error {
		lines := bufio.NewScanner(r)
		for n := 1; lines.Scan(); n++ {
			fmt.Fprintf(w, "%d %s\n", n, lines.Bytes())
		}
		return lines.Err()
	})
}

func (*Sniffer) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	return filter.WaitPrefix(4)
}

func (*Sniffer) OnRequest(_ filter.Stream, h filter.RequestHeaders, b filter.Body) filter.Action {
	if !b.Complete() && bytes.HasPrefix(b.Bytes(), []byte("%PDF")) { // there is more than the four bytes
		h.Set("content-type", "application/pdf")
	}
	return filter.Continue
}

// WaitBody is implied where there is an OnRequest and no OnRequestHeaders.
func ExampleRequestHandler() {
	r := run(&Shout{}).Post("/", "hello")
	fmt.Println(r.Sent, r.Upstream.Header.Get("content-length"))
	// Output: HELLO! 6
}

// Pipe is ordinary Go over a body that streams.
func ExamplePipe() {
	h := run(&Numbers{})
	h.Chunk = 3 // the body arrives three bytes at a time
	fmt.Print(h.Post("/", "one\ntwo\n").Body)
	// Output:
	// 1 one
	// 2 two
}

// WaitPrefix holds the headers for the beginning of the body only.
func ExampleWaitPrefix() {
	h := run(&Sniffer{})
	h.Chunk = 2
	fmt.Println(h.Post("/", "%PDF-1.7 and much more").Upstream.Header.Get("content-type"))
	// Output: application/pdf
}
