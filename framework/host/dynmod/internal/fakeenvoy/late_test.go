package fakeenvoy_test

import (
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/host/dynmod/internal/fakeenvoy"
)

// refuser replies to what follows the request's headers, and wants nothing of the response.
type refuser struct{}

func init() { filter.Register[refuser]("fakerefuser", filter.Transform) }

func (*refuser) OnRequestBody(filter.Stream, filter.Body, bool) filter.Action {
	return filter.Reply(409, "no")
}

func (*refuser) OnRequestTrailers(filter.Stream, filter.Headers) filter.Action {
	return filter.Reply(409, "no")
}

func (*refuser) OnComplete(filter.Stream) {}

// TestLateReply has a plugin reply before and after the headers of Envoy's response, which it does not want to see.
func TestLateReply(t *testing.T) {
	m := startMain(t)
	for name, test := range map[string]struct {
		begun bool // the response has begun
		reply func(s *fakeenvoy.Stream)
		want  fakeenvoy.Outcome
		logs  bool
	}{
		"to a body, in time": {
			reply: func(s *fakeenvoy.Stream) { s.Data(request, "body", false) },
			want:  fakeenvoy.Outcome{Reply: 409},
		},
		"to trailers, in time": {
			reply: func(s *fakeenvoy.Stream) { s.Trailers(request) },
			want:  fakeenvoy.Outcome{Reply: 409},
		},
		"to a body, too late": {
			begun: true, reply: func(s *fakeenvoy.Stream) { s.Data(request, "body", false) },
			want: fakeenvoy.Outcome{Resets: 1}, logs: true,
		},
		"to trailers, too late": {
			begun: true, reply: func(s *fakeenvoy.Stream) { s.Trailers(request) },
			want: fakeenvoy.Outcome{Resets: 1}, logs: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			conf := m.configOf(t, "fakerefuser", "{}")
			var got fakeenvoy.Outcome
			worker(func(th *fakeenvoy.Thread) {
				s := fakeenvoy.NewStream(conf, th, 1)
				s.Headers(request, false)
				if test.begun {
					s.Headers(response, false)
				}
				test.reply(s)
				got = s.Outcome()
				s.Complete()
				s.Destroy()
				flush(conf, th)
			})
			m.do(conf.Release)
			log := strings.Join(fakeenvoy.Log(), "\n")
			if got.Reply != test.want.Reply || got.Resets != test.want.Resets {
				t.Errorf("the module replies %d and resets %d times, want %d and %d",
					got.Reply, got.Resets, test.want.Reply, test.want.Resets)
			}
			if strings.Contains(log, "after the response has begun") != test.logs {
				t.Errorf("a line about a late reply: want %v, log %q", test.logs, log)
			}
			check(t, name)
		})
	}
}
