package extauth

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"mosn.io/moe/plugins/internal/authztest"
)

const byToken = "cache: {key: [{from: header, name: authorization}, {from: path}], ttl: 1h, deniedTTL: 1h}\n"

// times returns how often the service was asked.
func (s *service) times() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// TestCache: what the service has said counts for requests with the same key, and for no others.
func TestCache(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		who := r.Header.Get("authorization")
		w.Header().Set("x-user", who)
		w.Header().Set("x-note", "for the client")
		if strings.Contains(who, "bad") {
			w.WriteHeader(401)
			fmt.Fprint(w, "no")
		}
	})
	h := s.load(t, "", byToken+"upstream: [x-user]\nclientOnSuccess: [x-note]\nmetadataHeaders: [x-note]")
	for _, c := range []struct {
		name   string
		path   string
		header []string
		status int
		asked  int // how often more
	}{
		{name: "first", path: "/a", header: []string{"authorization", "tom"}, status: 200, asked: 1},
		{name: "same", path: "/a", header: []string{"authorization", "tom"}, status: 200},
		{name: "same but for what the key leaves out", path: "/a?x=y", header: []string{"authorization", "tom", "x-user", "root"}, status: 200},
		{name: "another path", path: "/b", header: []string{"authorization", "tom"}, status: 200, asked: 1},
		{name: "another token", path: "/a", header: []string{"authorization", "eve"}, status: 200, asked: 1},
		{name: "the token cut", path: "/a", header: []string{"authorization", "to"}, status: 200, asked: 1},
		{name: "no token", path: "/a", status: 200, asked: 1},
		{name: "denied", path: "/a", header: []string{"authorization", "bad"}, status: 401, asked: 1},
		{name: "denied again", path: "/a", header: []string{"authorization", "bad"}, status: 401},
		{name: "two tokens", path: "/a", header: []string{"authorization", "tom", "authorization", "x"}, status: 200, asked: 1},
		{name: "two others", path: "/a", header: []string{"authorization", "bad", "authorization", "x"}, status: 401, asked: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := s.times()
			r := h.Get(c.path, c.header...)
			if got := s.times() - before; r.Status != c.status || got != c.asked {
				t.Errorf("got %d, and the service was asked %d times, want %d and %d", r.Status, got, c.status, c.asked)
			}
			want := ""
			if len(c.header) > 1 {
				want = c.header[1]
			}
			if c.status == 200 && (r.Upstream.Header.Get("x-user") != want || r.Header.Get("x-note") != "for the client") {
				t.Errorf("the upstream sees %v, the client %v, want what the service said", r.Upstream.Header, r.Header)
			}
			if c.status == 401 && (r.Body != "no" || r.Upstream != nil) {
				t.Errorf("got %q, want what the service said", r.Body)
			}
			if note := r.Metadata["moe.extauth/x-note"]; note != "for the client" {
				t.Errorf("the metadata is %v, want what the service said", note)
			}
		})
	}
}

// TestCacheForgets: errors, and what is too long, are not remembered, and nothing for longer than it may.
func TestCacheForgets(t *testing.T) {
	for _, c := range []struct {
		name   string
		more   string
		answer func(http.ResponseWriter)
		status int
		wait   time.Duration
	}{
		{name: "an error", answer: func(w http.ResponseWriter) { w.WriteHeader(500) }, status: 403},
		{name: "an error that passes", more: "failOpen: true\n", answer: func(w http.ResponseWriter) { w.WriteHeader(500) }, status: 200},
		{name: "no HTTP", answer: func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, status: 403},
		{name: "a long denial", answer: func(w http.ResponseWriter) { w.WriteHeader(403); fmt.Fprint(w, strings.Repeat("x", maxRemembered+1)) }, status: 403},
		{name: "long headers", answer: func(w http.ResponseWriter) { w.Header().Set("x-a", strings.Repeat("x", maxRemembered+1)) }, status: 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) { c.answer(w) })
			h := s.load(t, "", byToken+c.more)
			for range 2 {
				if r := h.Get("/", "authorization", "tom"); r.Status != c.status {
					t.Errorf("got %d, want %d", r.Status, c.status)
				}
			}
			if got := s.times(); got != 2 {
				t.Errorf("the service was asked %d times, want twice", got)
			}
		})
	}
	t.Run("after a while", func(t *testing.T) {
		s := serve(t, nil)
		h := s.load(t, "", "cache: {key: [{from: path}], ttl: 50ms}")
		h.Get("/")
		time.Sleep(60 * time.Millisecond)
		if h.Get("/"); s.times() != 2 {
			t.Errorf("the service was asked %d times, want twice", s.times())
		}
	})
	t.Run("denials, if that is wanted", func(t *testing.T) {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) })
		h := s.load(t, "", "cache: {key: [{from: path}], deniedTTL: 0s}")
		h.Get("/")
		if h.Get("/"); s.times() != 2 {
			t.Errorf("the service was asked %d times, want twice", s.times())
		}
	})
}

// TestCacheShares: requests that want to know the same at a time share a question, which does not end with one of them.
func TestCacheShares(t *testing.T) {
	hold := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { <-hold; w.Header().Set("x-n", "1") })
	h := s.load(t, "", byToken+"upstream: [x-n]")
	var all sync.WaitGroup
	var good atomic.Int32
	for range 20 {
		all.Go(func() {
			if r := h.Get("/", "authorization", "tom"); r.Status == 200 && r.Upstream.Header.Get("x-n") == "1" {
				good.Add(1)
			}
		})
	}
	for s.times() == 0 {
		time.Sleep(time.Millisecond)
	}
	close(hold)
	all.Wait()
	if good.Load() != 20 || s.times() != 1 {
		t.Errorf("%d passed and the service was asked %d times, want 20 and once", good.Load(), s.times())
	}
}

func TestCacheGRPC(t *testing.T) {
	s := serveGRPC(t, func(n int) (*authv3.CheckResponse, error) {
		if n == 1 {
			return nil, status.Error(codes.Internal, "not now")
		}
		return &authv3.CheckResponse{Status: with(codes.OK), HttpResponse: &authv3.CheckResponse_OkResponse{
			OkResponse: &authv3.OkHttpResponse{Headers: []*corev3.HeaderValueOption{
				{Header: &corev3.HeaderValue{Key: "x-n", Value: strconv.Itoa(n)}},
			}},
		}}, nil
	})
	h := s.load(t, byToken)
	if r := h.Get("/", "authorization", "tom"); r.Status != 403 {
		t.Errorf("an error: got %d, want 403", r.Status)
	}
	for range 3 {
		if r := h.Get("/", "authorization", "tom"); r.Status != 200 || r.Upstream.Header.Get("x-n") != "2" {
			t.Errorf("got %d %v, want the second answer", r.Status, r.Upstream)
		}
	}
	if r := h.Get("/", "authorization", "eve"); r.Status != 200 || r.Upstream.Header.Get("x-n") != "3" {
		t.Errorf("another token: got %d %v, want the third answer", r.Status, r.Upstream)
	}
}

func TestCacheConfiguration(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no key":           {"cache: {key: []}", "cache.key"},
		"a bad part":       {"cache: {key: [{from: header}]}", "cache.key[0].name"},
		"no time":          {"cache: {key: [{from: path}], ttl: 0s}", "cache.ttl"},
		"with the body":    {"cache: {key: [{from: path}]}\nrequestBody: {}", "does not go with requestBody"},
		"no size":          {"cache: {key: [{from: path}], size: 0}", "size"},
		"unknown metadata": {"cache: {key: [{from: metadata, namespace: a}]}", "cache.key[0].key"},
	} {
		t.Run(name, func(t *testing.T) {
			err := authztest.Refused(t, "extauth", "url: 'http://127.0.0.1:1'\n"+c.text)
			if !strings.Contains(err, c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
