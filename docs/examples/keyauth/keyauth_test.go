package keyauth

import (
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

func consumer(name, key string) *filter.Consumer {
	return &filter.Consumer{Name: name, Credentials: map[string]map[string]any{"keyauth": {"key": key}}}
}

// who is a plugin after keyauth that tells the upstream who the caller is.
type who struct{}

func (who) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	h.Set("x-consumer", s.Consumer().Name)
	return filter.Continue
}

func init() { filter.Register[who]("who", filter.Authz) }

func TestKeyAuth(t *testing.T) {
	h := &filtertest.Host{Consumers: []*filter.Consumer{consumer("tom", "k1"), consumer("ann", "k2"), {Name: "guest"}}}
	if err := h.Load(t, &KeyAuth{Header: "x-api-key", Query: "key"}, &who{}); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	for _, c := range []struct {
		name, path string
		header     []string
		who        string // "" is denied
		sent       string
	}{
		{name: "no key", path: "/"},
		{name: "wrong key", path: "/", header: []string{"x-api-key", "wrong"}},
		{name: "empty key", path: "/", header: []string{"x-api-key", ""}},
		{name: "header", path: "/?a=1", header: []string{"x-api-key", "k1"}, who: "tom", sent: "/?a=1"},
		{name: "header of another case", path: "/", header: []string{"X-API-Key", "k2"}, who: "ann", sent: "/"},
		{name: "query", path: "/?key=k2", who: "ann", sent: "/"},
		{name: "query among others", path: "/?a=%20&key=k2&b", who: "ann", sent: "/?a=%20&b"},
		{name: "wrong key in the query", path: "/?key=wrong"},
		{name: "empty key in the query", path: "/?key="},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := h.Get(c.path, c.header...)
			if c.who == "" {
				if r.Status != 401 || r.Upstream != nil || r.Header.Get("www-authenticate") == "" {
					t.Errorf("%s %v: got status %d, want 401 with www-authenticate, before the upstream",
						c.path, c.header, r.Status)
				}
				return
			}
			if r.Status != 200 || r.Upstream.Header.Get("x-consumer") != c.who || r.Upstream.URL.String() != c.sent {
				t.Errorf("%s %v: got status %d and upstream request %v, want consumer %q and path %q",
					c.path, c.header, r.Status, r.Upstream, c.who, c.sent)
			}
			if r.Upstream.Header.Get("x-api-key") != "" {
				t.Error("the upstream sees the key")
			}
		})
	}
}

func TestTwoWithOneKey(t *testing.T) {
	h := &filtertest.Host{Consumers: []*filter.Consumer{consumer("tom", "geheim"), consumer("ann", "geheim")}}
	err := h.Load(t, &KeyAuth{Header: "x-api-key"})
	if err == nil || !strings.Contains(err.Error(), "tom") || strings.Contains(err.Error(), "geheim") {
		t.Errorf("Load: got error %v, want one that names tom and does not show the key", err)
	}
}
