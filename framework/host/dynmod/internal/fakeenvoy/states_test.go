package fakeenvoy_test

import (
	"fmt"
	"testing"

	"mosn.io/moe/framework/host/dynmod/internal/fakeenvoy"
)

const (
	request  = fakeenvoy.Request
	response = fakeenvoy.Response
)

// state brings a stream to a moment of its life. A second stream is there where its slot in the module is taken again.
type state struct {
	name string
	do   string // of the plugin
	to   func(s *fakeenvoy.Stream, t *fakeenvoy.Thread) bool
	then func(c *fakeenvoy.Config, t *fakeenvoy.Thread) *fakeenvoy.Stream
}

func states() []state {
	calling := func(s *fakeenvoy.Stream, t *fakeenvoy.Thread) bool {
		s.Headers(request, false)
		return poll(t, func() bool { return len(s.Callouts()) == 1 })
	}
	another := func(c *fakeenvoy.Config, t *fakeenvoy.Thread) *fakeenvoy.Stream {
		s := fakeenvoy.NewStream(c, t, 1000)
		s.Headers(request, false)
		return s
	}
	headers := func(s *fakeenvoy.Stream, _ *fakeenvoy.Thread) bool {
		s.Headers(request, false)
		return true
	}
	return []state{
		{name: "before its start", to: func(*fakeenvoy.Stream, *fakeenvoy.Thread) bool { return true }},
		{name: "after the request's headers", to: headers},
		{name: "waiting for the request's body", do: "body", to: headers},
		{name: "waiting for a goroutine", do: "wait", to: headers},
		{name: "waiting for a callout", do: "call", to: calling},
		{name: "a callout answers", do: "call", to: func(s *fakeenvoy.Stream, t *fakeenvoy.Thread) bool {
			if !calling(s, t) {
				return false
			}
			s.Callouts()[0].Headers(false)
			s.Callouts()[0].Data(false)
			return true
		}},
		{name: "waiting in the response", do: "wait", to: func(s *fakeenvoy.Stream, _ *fakeenvoy.Thread) bool {
			s.Headers(response, false)
			return true
		}},
		{name: "after the response's headers", to: func(s *fakeenvoy.Stream, _ *fakeenvoy.Thread) bool {
			s.Headers(request, true)
			s.Headers(response, false)
			return true
		}},
		{name: "after a reply", do: "reply", to: headers},
		{name: "after a panic", do: "panic", to: headers},
		{name: "in a streamed reply", do: "reader", to: headers},
		{name: "after its completion", do: "call", to: func(s *fakeenvoy.Stream, t *fakeenvoy.Thread) bool {
			ok := calling(s, t)
			s.Complete()
			return ok
		}},
		{name: "after its completion, its slot taken again", do: "call", then: another, to: func(s *fakeenvoy.Stream, t *fakeenvoy.Thread) bool {
			ok := calling(s, t)
			s.Complete()
			return ok
		}},
	}
}

// hook is one of Envoy's.
type hook struct {
	name string
	call func(s *fakeenvoy.Stream)
}

func hooks() []hook {
	callout := func(s *fakeenvoy.Stream) fakeenvoy.Callout {
		if all := s.Callouts(); len(all) > 0 {
			return all[0]
		}
		return s.Callout(1)
	}
	return []hook{
		{"request headers", func(s *fakeenvoy.Stream) { s.Headers(request, false) }},
		{"request body", func(s *fakeenvoy.Stream) { s.Data(request, "some", false) }},
		{"request's end", func(s *fakeenvoy.Stream) { s.Data(request, "end", true) }},
		{"request trailers", func(s *fakeenvoy.Stream) { s.Trailers(request) }},
		{"response headers", func(s *fakeenvoy.Stream) { s.Headers(response, false) }},
		{"response body", func(s *fakeenvoy.Stream) { s.Data(response, "some", false) }},
		{"response's end", func(s *fakeenvoy.Stream) { s.Data(response, "end", true) }},
		{"response trailers", func(s *fakeenvoy.Stream) { s.Trailers(response) }},
		{"local reply", (*fakeenvoy.Stream).LocalReply},
		{"another filter clears the route", (*fakeenvoy.Stream).ClearRoute},
		{"high watermark", func(s *fakeenvoy.Stream) { s.Watermark(true) }},
		{"low watermark", func(s *fakeenvoy.Stream) { s.Watermark(false) }},
		{"scheduled", (*fakeenvoy.Stream).Scheduled},
		{"callout's headers", func(s *fakeenvoy.Stream) { callout(s).Headers(false) }},
		{"callout's data", func(s *fakeenvoy.Stream) { callout(s).Data(false) }},
		{"callout's trailers", func(s *fakeenvoy.Stream) { callout(s).Trailers() }},
		{"callout complete", func(s *fakeenvoy.Stream) { callout(s).Complete() }},
		{"callout reset", func(s *fakeenvoy.Stream) { callout(s).Reset() }},
		{"callout of another kind", func(s *fakeenvoy.Stream) { callout(s).Done() }},
		{"callout that there is not", func(s *fakeenvoy.Stream) { s.Callout(77).Reset() }},
		{"complete", (*fakeenvoy.Stream).Complete},
	}
}

// Every hook, and then every other one, comes in every state of a stream, to plugins of every kind.
func TestEveryHookInEveryState(t *testing.T) {
	m := startMain(t)
	for _, st := range states() {
		t.Run(st.name, func(t *testing.T) {
			c := m.config(t, document(st.do))
			worker(func(thread *fakeenvoy.Thread) {
				tag := 1
				for _, first := range hooks() {
					for _, second := range hooks() {
						if tag++; !both(t, c, thread, st, tag, first, second) {
							return
						}
					}
				}
				flush(c, thread)
				c.Release()
				if !poll(thread, func() bool { return running.Load() == 0 }) {
					t.Errorf("%d goroutines of plugins are left, want 0", running.Load())
				}
			})
		})
	}
	check(t, "in the end")
}

// both reports whether the test is worth going on with.
func both(t *testing.T, c *fakeenvoy.Config, thread *fakeenvoy.Thread, st state, tag int, first, second hook) bool {
	t.Helper()
	what := fmt.Sprintf("%s, then %s", first.name, second.name)
	s := fakeenvoy.NewStream(c, thread, tag)
	if !st.to(s, thread) {
		t.Errorf("%s: the stream did not get that far", what)
		return false
	}
	var another *fakeenvoy.Stream
	if st.then != nil {
		another = st.then(c, thread)
	}
	for _, h := range []hook{first, second} {
		h.call(s)
		thread.Run()
	}
	if !s.Outcome().Completed {
		s.Complete()
	}
	s.Destroy()
	if another != nil {
		if o := another.Outcome(); o.Reply != 0 || o.Resets != 0 || o.Continued != [2]int{} {
			t.Errorf("%s: the stream that has the slot now was treated as the one before: %+v", what, o)
		}
		another.Complete()
		another.Destroy()
	}
	check(t, what)
	return !t.Failed()
}
