package fakeenvoy_test

import (
	"encoding/json"
	"net/http"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/host/dynmod/internal/fakeenvoy"
)

// setter sets the same headers in all streams, and the response's once more in a phase if it is to.
type setter struct {
	Request  http.Header `json:"request"`
	Response http.Header `json:"response"`
	Again    string      `json:"again"`
	Refuse   bool        `json:"refuse"`
}

func init() { filter.Register[setter]("fakesetter", filter.Transform) }

func (p *setter) SetsHeaders() (request, response http.Header) { return p.Request, p.Response }

func (p *setter) SkipsPhase(method string) bool {
	return method == "OnResponseHeaders" && p.Again == "" || method == "OnRequestHeaders" && !p.Refuse
}

func (p *setter) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	return filter.Reply(403, "no")
}

func (p *setter) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	h.Set("x-again", p.Again+h.Get("x-a"))
	return filter.Continue
}

// TestConstants has the module set headers with Go and without it.
func TestConstants(t *testing.T) {
	m := startMain(t)
	for _, c := range []struct {
		name     string
		conf     setter
		reply    int
		request  map[string][]string
		response map[string][]string
	}{
		{
			name: "none", request: map[string][]string{"x-tag": {"1"}}, response: map[string][]string{"x-tag": {"1"}},
		},
		{
			name:     "one of the response",
			conf:     setter{Response: http.Header{"X-A": {"1"}}},
			request:  map[string][]string{"x-a": nil},
			response: map[string][]string{"x-a": {"1"}},
		},
		{
			name: "several, of both directions, one that is there and one that goes",
			conf: setter{
				Request:  http.Header{"x-tag": {"new"}, "x-b": {"1", "2"}},
				Response: http.Header{"x-tag": {}, "x-a": {"1", "2"}, "x-none": {}},
			},
			request:  map[string][]string{"x-tag": {"new"}, "x-b": {"1", "2"}},
			response: map[string][]string{"x-tag": nil, "x-a": {"1", "2"}, "x-none": nil},
		},
		{
			name:     "a phase comes afterwards",
			conf:     setter{Response: http.Header{"x-a": {"1"}}, Again: "after "},
			response: map[string][]string{"x-a": {"1"}, "x-again": {"after 1"}},
		},
		{
			name: "a reply of its own", conf: setter{Response: http.Header{"x-a": {"1"}}, Refuse: true}, reply: 403,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, err := json.Marshal(&c.conf)
			if err != nil {
				t.Fatalf("json.Marshal: %v", err)
			}
			conf := m.configOf(t, "fakesetter", string(text))
			worker(func(th *fakeenvoy.Thread) {
				runtime.LockOSThread()
				s := fakeenvoy.NewStream(conf, th, 1)
				s.Headers(request, true)
				if got := s.Outcome().Reply; got != c.reply {
					t.Errorf("the module replies %d, want %d", got, c.reply)
				}
				s.Headers(response, true)
				if c.reply != 0 && len(s.Header(response, "x-a")) > 0 {
					t.Errorf("the plugin's own reply has x-a: %q", s.Header(response, "x-a"))
				}
				compare := func(what string, dir int, all map[string][]string) {
					for name, want := range all {
						if diff := cmp.Diff(want, s.Header(dir, name), cmpopts.EquateEmpty()); diff != "" {
							t.Errorf("%s of the %s (-want +got):\n%s", name, what, diff)
						}
					}
				}
				compare("request", request, c.request)
				compare("response", response, c.response)
				s.Complete()
				s.Destroy()
				flush(conf, th)
			})
			m.do(conf.Release)
			check(t, c.name)
		})
	}
}
