package nethttp_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"mosn.io/moe/framework/internal/core"
)

// TestInterleavings has requests and responses arrive in random pieces and orders, and clients leave at random moments.
func TestInterleavings(t *testing.T) {
	n := 400
	if testing.Short() {
		n = 50
	}
	for seed := range n {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			interleave(t, rand.New(rand.NewPCG(uint64(seed), 1)))
		})
	}
}

// script is what arrives in a direction, event by event.
type script []func()

func (s *script) next() {
	f := (*s)[0]
	*s = (*s)[1:]
	f()
}

func interleave(t *testing.T, r *rand.Rand) {
	pick := func(m []string) string { return m[r.IntN(len(m))] }
	in, out := pick(slices.Sorted(maps.Keys(requestBodies))), pick(slices.Sorted(maps.Keys(responseBodies)))
	req, res := requestBodies[in], responseBodies[out]
	hooks := []*hook{handler(req.f), handler(res.f)}
	r.Shuffle(len(hooks), func(i, j int) { hooks[i], hooks[j] = hooks[j], hooks[i] })
	w := openWire(t, hooks...)
	t.Cleanup(w.done)

	text := func() string { return strings.Repeat("abcdefghij", r.IntN(40)) }
	up, down := text(), text()
	body := func(dir core.Direction, s string, trailers bool) (events script) {
		for len(s) > 0 {
			piece := s[:1+r.IntN(len(s))]
			s = s[len(piece):]
			end := s == "" && !trailers
			events = append(events, func() { w.data(dir, piece, end) })
		}
		if trailers {
			events = append(events, func() { w.trailers(dir, "x-t", "1") })
		}
		return events
	}
	tailUp, tailDown := r.IntN(3) == 0, r.IntN(3) == 0
	requests := append(script{func() { w.request("POST", "/", up == "" && !tailUp) }}, body(request, up, tailUp)...)
	responses := append(script{func() { w.respond("200", down == "" && !tailDown) }}, body(response, down, tailDown)...)
	leaves := -1
	if r.IntN(5) == 0 {
		leaves = r.IntN(len(requests) + len(responses))
	}
	early := r.IntN(3) == 0 // the upstream answers before it has all of the request
	for i := 0; len(requests) > 0 || len(responses) > 0; i++ {
		if i == leaves {
			return
		}
		if len(requests) > 0 && (!early || r.IntN(2) == 0) {
			requests.next()
			continue
		}
		w.until("the request's headers", func() bool {
			return w.headers[request] != nil || w.ended[response] || len(requests) > 0
		})
		switch {
		case w.seen(request) && len(responses) > 0:
			responses.next()
		case len(requests) > 0:
			requests.next()
		default:
			responses = nil
		}
	}
	w.until("the response's end", func() bool { return w.ended[response] || w.reset != "" })
	w.mu.Lock()
	defer w.mu.Unlock()
	got := w.body[response].String()
	if w.get(response, "content-encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(w.body[response].Bytes()))
		if err != nil {
			t.Fatalf("gzip.NewReader: %v", err)
		}
		b, _ := io.ReadAll(z)
		got = string(b)
	}
	sent := w.body[request].String()
	if w.reset != "" || got != res.want(down) || len(w.bugs) > 0 || w.ended[request] && sent != req.want(up) {
		t.Errorf("%s, %s: reset %q, bugs %q\nsent %.60q\nwant %.60q\ngot  %.60q\nwant %.60q", in, out, w.reset, w.bugs,
			sent, req.want(up), got, res.want(down))
	}
}

// seen reports whether headers have left.
func (w *wire) seen(dir core.Direction) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.headers[dir] != nil
}
