package tokenexchange

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/filtertest"
)

// server is an authorization server that answers what a test wants.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	body   string
	asked  []url.Values
}

func serve(t *testing.T, status int, body string) *server {
	s := &server{status: status, body: body}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Errorf("the server is sent a form that is malformed: %v", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked = append(s.asked, r.PostForm)
		w.WriteHeader(s.status)
		fmt.Fprint(w, s.body)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) questions() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *server) host(t *testing.T, more string) *filtertest.Host {
	t.Helper()
	return filtertest.New(t, filtertest.Config{Name: "tokenexchange", JSON: fmt.Sprintf(
		`{"endpoint": %q, "client": {"id": "moe", "secret": "s3cret"}%s}`, s.URL+"/token", more)})
}

const good = `{"access_token": "new", "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
	"token_type": "Bearer", "expires_in": 60}`

func with(token string) []string { return []string{"authorization", "Bearer " + token} }

// outcome is what the upstream gets in authorization, or why it gets nothing.
func outcome(r *filtertest.Response) string {
	if r.Upstream != nil {
		return r.Upstream.Header.Get("authorization")
	}
	return fmt.Sprint(r.Status, " ", strings.TrimPrefix(r.Details, "moe.tokenexchange."))
}

func TestExchange(t *testing.T) {
	s := serve(t, 200, good)
	h := s.host(t, `, "audiences": ["orders", "stock"], "resources": ["https://orders.example"], "scopes": ["read", "write"],
		"requestedTokenType": "urn:ietf:params:oauth:token-type:jwt", "actor": {"token": "me"}`)
	for range 2 { // the second time from the cache
		if got := outcome(h.Get("/", with("old")...)); got != "Bearer new" {
			t.Errorf("the upstream gets %q, want the new token", got)
		}
	}
	want := []url.Values{{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {"old"},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"}, "audience": {"orders", "stock"},
		"resource": {"https://orders.example"}, "scope": {"read write"},
		"requested_token_type": {"urn:ietf:params:oauth:token-type:jwt"}, "actor_token": {"me"},
		"actor_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
	}}
	if diff := cmp.Diff(want, s.questions()); diff != "" {
		t.Errorf("what the server was asked (-want +got):\n%s", diff)
	}
}

func TestPlaces(t *testing.T) {
	h := serve(t, 200, good).host(t, `, "from": {"queries": ["t"]}, "header": "X-Internal", "scheme": ""`)
	r := h.Get("/a?t=old&b=1", "x-internal", "forged", "authorization", "Basic x")
	if r.Upstream == nil {
		t.Fatalf("got %d %s, want 200", r.Status, r.Details)
	}
	got := []string{r.Upstream.RequestURI, strings.Join(r.Upstream.Header.Values("x-internal"), ","), r.Upstream.Header.Get("authorization")}
	if diff := cmp.Diff([]string{"/a?b=1", "new", "Basic x"}, got); diff != "" {
		t.Errorf("the request (-want +got):\n%s", diff)
	}
	h = serve(t, 200, good).host(t, `, "optional": true`)
	if r := h.Get("/"); r.Status != 200 {
		t.Errorf("without a token, with optional: got %d, want 200", r.Status)
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		header []string
		want   string
	}{
		{"no token", nil, "401 missing"},
		{"two tokens", append(with("a"), with("b")...), "400 several"},
		{"two tokens in one field", with("a, Bearer b"), "401 malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, 200, good)
			if got := outcome(s.host(t, "").Get("/", c.header...)); got != c.want || len(s.questions()) > 0 {
				t.Errorf("got %s after %d questions, want %s after none", got, len(s.questions()), c.want)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   string
		asked  int // by two requests
	}{
		{name: "a token", status: 200, body: good, want: "Bearer new", asked: 1},
		{name: "a token that ends at once", status: 200, body: strings.Replace(good, "60", "0", 1), want: "Bearer new", asked: 2},
		{name: "a token without an end", status: 200, body: `{"access_token": "new", "token_type": "N_A"}`, want: "Bearer new", asked: 1},
		{name: "a bad token", status: 400, body: `{"error": "invalid_request"}`, want: "401 refused", asked: 1},
		{name: "a token that has ended", status: 400, body: `{"error": "invalid_grant"}`, want: "401 refused", asked: 1},
		{name: "not for this", status: 400, body: `{"error": "invalid_target"}`, want: "403 target", asked: 1},
		{name: "a client that is not known", status: 401, body: `{"error": "invalid_client"}`, want: "503 no_answer", asked: 2},
		{name: "a client that may not", status: 400, body: `{"error": "unauthorized_client"}`, want: "503 no_answer", asked: 2},
		{name: "an error", status: 500, body: good, want: "503 no_answer", asked: 2},
		{name: "a token of DPoP", status: 200, body: strings.Replace(good, "Bearer", "DPoP", 1), want: "503 no_answer", asked: 2},
		{name: "a token with a line break", status: 200, body: strings.Replace(good, "new", `a\r\nb`, 1), want: "503 no_answer", asked: 2},
		{name: "no token", status: 200, body: `{"token_type": "Bearer"}`, want: "503 no_answer", asked: 2},
		{name: "two tokens", status: 200, body: `{"access_token":"a","access_token":"b","token_type":"Bearer"}`, want: "503 no_answer", asked: 2},
		{name: "an end that is not a number", status: 200, body: strings.Replace(good, "60", `"x"`, 1), want: "503 no_answer", asked: 2},
		{name: "not JSON", status: 200, body: "new", want: "503 no_answer", asked: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, c.status, c.body)
			h := s.host(t, "")
			for range 2 {
				if got := outcome(h.Get("/", with("old")...)); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			}
			if n := len(s.questions()); n != c.asked {
				t.Errorf("the server was asked %d times by two requests, want %d", n, c.asked)
			}
			if strings.Contains(h.Log(), "s3cret") {
				t.Errorf("the log has the client's secret: %s", h.Log())
			}
		})
	}
}

func TestConfiguration(t *testing.T) {
	const begin = `{"endpoint": "https://a.example/token", "client": {"id": "a", "secret": "b"}`
	for _, c := range []struct{ name, config, want string }{
		{"no endpoint", `{"client": {"id": "a", "secret": "b"}}`, "endpoint"},
		{"in the clear", `{"endpoint": "http://a.example/token", "client": {"id": "a", "secret": "b"}}`, "must be https"},
		{"no client", `{"endpoint": "https://a.example/token"}`, "client.id"},
		{"a resource that is relative", begin + `, "resources": ["/a"]}`, "resources[0]"},
		{"two scopes in one", begin + `, "scopes": ["a b"]}`, "scopes[0]"},
		{"a header that is malformed", begin + `, "header": "a b"}`, "header"},
		{"an actor without a token", begin + `, "actor": {}}`, "actor.token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := (&filtertest.Host{}).Load(t, filtertest.Config{Name: "tokenexchange", JSON: c.config})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

// FuzzAnswer: whatever the server answers, the upstream gets a well-formed header or nothing.
func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte(good))
	f.Add(400, []byte(`{"error":"invalid_grant"}`))
	f.Add(200, []byte(`{"access_token":"a b","token_type":"bearer","expires_in":1e9}`))
	p := &TokenExchange{Scheme: "Bearer"}
	now := time.Now()
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		a, err := p.read(status, body, now)
		if err != nil {
			return
		}
		x := a.Value
		if (x.why == nil) == a.Refused || (x.why == nil) != (status == 200) {
			t.Fatalf("%d %q is %+v", status, body, a)
		}
		token, ok := strings.CutPrefix(x.value, "Bearer ")
		if x.why == nil && (!ok || token == "" || strings.ContainsAny(token, " ,\r\n\x00") || !a.Until.IsZero() && a.Until.Before(now)) {
			t.Fatalf("%d %q makes the header %q until %s", status, body, x.value, a.Until)
		}
	})
}
