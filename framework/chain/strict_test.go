package chain_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// strict is a host that knows nothing but Envoy's rules, and notes each breach of them.
type strict struct {
	st     *chain.Stream
	limit  int
	input  [2][]byte // the bodies that are fed
	trails [2]bool
	method string

	mu    sync.Mutex
	posts []func()
	ready chan struct{}
	bugs  []string

	on      bool // the driver is inside the chain: the stream's thread
	headers [2]bool
	end     [2]bool
	body    [2][]byte
	length  [2]int
	reset   string
	done    bool
	status  int
	nested  func() // what happens from within the next call of the sink
}

func (h *strict) bug(format string, args ...any) {
	h.mu.Lock()
	h.bugs = append(h.bugs, fmt.Sprintf(format, args...))
	h.mu.Unlock()
}

// enter runs f on the stream's thread.
func (h *strict) enter(f func()) {
	was := h.on
	h.on = true
	f()
	h.on = was
}

func (h *strict) check(what string, di core.Direction) {
	switch {
	case !h.on:
		h.bug("%s off the stream's thread", what)
	case h.done:
		h.bug("%s %d after the end of the stream", what, di)
	case h.reset != "":
		h.bug("%s %d after the reset %q", what, di, h.reset)
	case h.end[di]:
		h.bug("%s %d after the end of the direction", what, di)
	}
}

func (h *strict) Headers(di core.Direction, end bool) {
	h.check("headers", di)
	if h.headers[di] {
		h.bug("headers %d twice", di)
	}
	h.headers[di], h.end[di], h.length[di] = true, end, -1
	for _, f := range h.st.H[di.Headers()].Fields {
		if f.Name == "content-length" {
			if h.length[di] >= 0 {
				h.bug("content-length twice")
			}
			h.length[di], _ = strconv.Atoi(f.Value)
		}
		if f.Name == ":status" {
			h.status, _ = strconv.Atoi(f.Value)
		}
	}
	h.ended(di)
	h.nest()
}

func (h *strict) Data(di core.Direction, p []byte, end bool) {
	h.check("data", di)
	if !h.headers[di] {
		h.bug("data %d before the headers", di)
	}
	if len(p) == 0 && !end {
		h.bug("empty chunk")
	}
	h.body[di] = append(h.body[di], p...)
	h.end[di] = end
	h.ended(di)
	h.nest()
}

func (h *strict) Trailers(di core.Direction) {
	h.check("trailers", di)
	if !h.headers[di] {
		h.bug("trailers %d before the headers", di)
	}
	if !h.trails[di] || di == chain.Response && h.st.Replied {
		h.bug("trailers %d out of nowhere", di)
	}
	if got := h.st.H[di.Trailers()].Fields; len(got) == 0 || got[0].Name != "x-t" {
		h.bug("trailers %d lost: %v", di, got)
	}
	h.end[di] = true
	h.ended(di)
}

// ended checks a direction that is complete.
func (h *strict) ended(di core.Direction) {
	if !h.end[di] {
		return
	}
	head := h.method == "HEAD" && di == chain.Response
	if n := len(h.body[di]); h.length[di] >= 0 && n != h.length[di] && !head {
		h.bug("content-length %d with %d bytes (%d)", h.length[di], n, di)
	}
	if head && len(h.body[di]) > 0 && h.st.Replied {
		h.bug("a reply to HEAD has a body")
	}
	if di == chain.Response && h.st.Replied {
		if !knownReply(h.body[di], head) {
			h.bug("reply %d %q", h.status, h.body[di])
		}
	} else if !bytes.Equal(h.body[di], h.input[di]) {
		h.bug("body %d: sent %d bytes, passed on %d", di, len(h.input[di]), len(h.body[di]))
	}
}

func (h *strict) Reset(reason string) {
	if h.reset != "" || h.done {
		h.bug("reset twice, or after the end")
	}
	if !h.on {
		h.bug("reset off the stream's thread")
	}
	h.reset = reason
}

func (h *strict) Post(f func()) {
	h.mu.Lock()
	h.posts = append(h.posts, f)
	h.mu.Unlock()
	select {
	case h.ready <- struct{}{}:
	default:
	}
}

// post runs one posted function, and reports whether there was one.
func (h *strict) post(r *rand.Rand) bool {
	h.mu.Lock()
	if len(h.posts) == 0 {
		h.mu.Unlock()
		return false
	}
	f := h.posts[0] // in order, as every host's
	h.posts = h.posts[1:]
	h.mu.Unlock()
	h.enter(f)
	return true
}

// nest has something happen while the chain is inside a call of the sink, as in Envoy, where to continue a request may
// bring its response, or its end, at once.
func (h *strict) nest() {
	if f := h.nested; f != nil {
		h.nested = nil
		f()
	}
}

func (*strict) Attribute(string) (string, error)      { return "", filter.ErrNotFound }
func (*strict) Metadata(string, string) (any, error)  { return nil, filter.ErrNotFound }
func (*strict) SetMetadata(string, string, any) error { return nil }
func (*strict) FilterState(string) (string, error)    { return "", filter.ErrNotFound }
func (*strict) SetFilterState(string, string) error   { return nil }
func (*strict) ClearRouteCache() error                { return nil }
func (*strict) SetUpstreamHost(string, bool) error    { return nil }
func (*strict) Secret(string) (string, error)         { return "", nil }
func (h *strict) Fetch(int) []core.Field              { return []core.Field{{Name: ":method", Value: h.method}} }
func (h *strict) BufferLimit() int                    { return h.limit }
func (*strict) Escaped()                              {}

// block fills a block as a host does.
func (h *strict) block(i int, fields ...core.Field) {
	h.st.Mu.Lock()
	b := &h.st.H[i]
	b.Fields, b.Present = append(b.Fields[:0], fields...), true
	h.st.Mu.Unlock()
}

// script is what arrives in a direction, in order.
func (h *strict) script(r *rand.Rand, di core.Direction) (events []func()) {
	fields := []core.Field{
		{Name: ":method", Value: h.method},
		{Name: ":path", Value: "/"},
		{Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: "a"},
	}
	if di == chain.Response {
		fields = []core.Field{{Name: ":status", Value: "200"}}
	}
	body := h.input[di]
	if r.IntN(2) == 0 && len(body) > 0 {
		fields = append(fields, core.Field{Name: "content-length", Value: strconv.Itoa(len(body))})
	}
	bodiless := len(body) == 0 && !h.trails[di] && r.IntN(4) > 0
	skip := r.IntN(2) == 0
	events = append(events, func() {
		if want := h.st.Wants() & phase.Headers(di); want == 0 && skip {
			h.headers[di], h.end[di], h.length[di] = true, bodiless, -1 // Envoy passes them on itself
			h.st.Mu.Lock()
			h.st.Remote |= 1 << di.Headers()
			h.st.Mu.Unlock()
			if !bodiless {
				h.st.Skip(di)
			}
			return
		}
		h.block(di.Headers(), fields...)
		h.st.Headers(di, bodiless)
	})
	if bodiless {
		return events
	}
	emptyEnd := r.IntN(3) == 0 || len(body) == 0
	for len(body) > 0 {
		n := 1 + r.IntN(len(body))
		if r.IntN(3) == 0 {
			n = len(body)
		}
		p := bytes.Clone(body[:n])
		body = body[n:]
		end := len(body) == 0 && !h.trails[di] && !emptyEnd
		events = append(events, func() { h.st.Data(di, p, end) })
	}
	switch {
	case h.trails[di]:
		events = append(events, func() {
			h.block(di.Trailers(), core.Field{Name: "x-t", Value: "1"})
			h.st.Trailers(di)
		})
	case emptyEnd:
		events = append(events, func() { h.st.Data(di, nil, true) })
	}
	return events
}

// drive feeds two scripts in a random order until the stream is complete, and sometimes ends it before that.
func (h *strict) drive(r *rand.Rand, c *chain.Chain, in [2][]func()) {
	h.ready = make(chan struct{}, 1)
	resetAt := -1
	if r.IntN(4) == 0 {
		resetAt = r.IntN(12)
	}
	switch r.IntN(8) {
	case 0:
		h.nested = func() {
			for len(in[1]) > 0 && h.headers[0] && !h.st.Replied && !h.done && h.reset == "" && r.IntN(3) > 0 {
				h.next(&in[1])
			}
		}
	case 1:
		h.nested = h.finish
	}
	early := r.IntN(8) == 0 // Envoy answers by itself, before the request's headers have passed
	for step := 0; ; step++ {
		complete := h.end[chain.Response] && (h.end[chain.Request] || h.st.Replied || r.IntN(2) == 0)
		if h.done || h.reset != "" || complete || step == resetAt {
			break
		}
		var can []func() bool
		for di := range core.Directions {
			ok := len(in[di]) > 0 && !h.st.Replied
			if di == chain.Response {
				ok = ok && (h.headers[chain.Request] || early && len(in[0]) < 2)
			}
			if h.st.Busy(di) && r.IntN(3) > 0 {
				ok = false // most hosts hold back; the others' events queue
			}
			if ok {
				can = append(can, func() bool { h.next(&in[di]); return true })
			}
		}
		can = append(can, func() bool { return h.post(r) })
		if r.IntN(20) == 0 {
			can = append(can, func() bool { h.enter(func() { h.st.Watermark(r.IntN(2) == 0) }); return true })
		}
		if can[r.IntN(len(can))]() || len(can) > 1 {
			continue
		}
		h.enter(func() { h.st.Watermark(false) })
		if h.post(r) {
			continue
		}
		if len(in[0])+len(in[1]) > 0 && (h.st.Busy(0) || h.st.Busy(1) || !h.headers[0]) {
			for di := range core.Directions { // what waits is an event that the driver held back
				if len(in[di]) > 0 && !h.st.Replied && (di == 0 || h.headers[0]) && !h.st.Busy(di) {
					h.next(&in[di])
				}
			}
		}
		select {
		case <-h.ready:
		case <-time.After(30 * time.Second):
			h.bug("the stream hangs: in %d %d, end %v, busy %v %v", len(in[0]), len(in[1]), h.end, h.st.Busy(0), h.st.Busy(1))
			h.finish()
			return
		}
	}
	h.finish()
}

// next feeds the next event.
func (h *strict) next(events *[]func()) {
	e := (*events)[0]
	*events = (*events)[1:]
	h.enter(e)
}

func (h *strict) finish() {
	if !h.done {
		h.done = true
		h.enter(h.st.Done)
	}
}
