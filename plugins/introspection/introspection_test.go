package introspection

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/plugintest"
)

// server is an authorization server that answers what a test wants.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(token string) (status int, body string)
	asked  []url.Values
	auth   []string
}

// serve starts a server that knows what is said of tokens by name.
func serve(t *testing.T, tokens map[string]any) *server {
	s := &server{}
	s.answer = func(token string) (int, string) {
		said, ok := tokens[token]
		if !ok {
			return 200, `{"active":false}`
		}
		text, err := json.Marshal(said)
		if err != nil {
			t.Errorf("json.Marshal: %v", err)
		}
		return 200, string(text)
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
			t.Errorf("the server is sent a %s with %v", r.Method, err)
		}
		s.mu.Lock()
		s.asked, s.auth = append(s.asked, r.PostForm), append(s.auth, r.Header.Get("authorization"))
		answer := s.answer
		s.mu.Unlock()
		status, body := answer(r.PostForm.Get("token"))
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	return s
}

// questions returns how often the server was asked.
func (s *server) questions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

// say changes what the server answers.
func (s *server) say(answer func(string) (int, string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// host runs the plugin with more configuration, in JSON after a comma.
func (s *server) host(t *testing.T, more string, consumers ...*filter.Consumer) *filtertest.Host {
	t.Helper()
	h := &filtertest.Host{Consumers: consumers, ConsumerHeader: "x-who"}
	err := h.Load(t, filtertest.Config{Name: "introspection", JSON: fmt.Sprintf(
		`{"endpoint": %q, "client": {"id": "moe", "secret": "s3cret"}%s}`, s.URL+"/introspect", more)})
	if err != nil {
		t.Fatalf("loading introspection: %v", err)
	}
	return h
}

func with(token string) []string { return []string{"authorization", "Bearer " + token} }

// outcome is the upstream's 200, or status and reason.
func outcome(r *filtertest.Response) string {
	if r.Upstream != nil {
		return fmt.Sprint(r.Status)
	}
	return fmt.Sprint(r.Status, " ", strings.TrimPrefix(r.Details, "moe.introspection."))
}

func TestAnswers(t *testing.T) {
	now := time.Now().Unix()
	tokens := map[string]any{
		"plain":      map[string]any{"active": true},
		"full":       map[string]any{"active": true, "scope": "read write", "aud": []string{"api"}, "exp": now + 60, "iss": "i"},
		"expired":    map[string]any{"active": true, "exp": now - 60},
		"early":      map[string]any{"active": true, "nbf": now + 60},
		"text-true":  map[string]any{"active": "true"},
		"no-active":  map[string]any{"scope": "read"},
		"list":       []string{"active"},
		"bad-exp":    map[string]any{"active": true, "exp": "tomorrow"},
		"null-exp":   map[string]any{"active": true, "exp": nil},
		"scope-less": map[string]any{"active": true, "aud": "api", "iss": "i"},
		"other-aud":  map[string]any{"active": true, "scope": "read", "aud": "web", "iss": "i"},
		"other-iss":  map[string]any{"active": true, "scope": "read", "aud": "api", "iss": "j"},
		"dpop":       map[string]any{"active": true, "cnf": map[string]any{"jkt": "x"}},
		"two-cnf":    map[string]any{"active": true, "cnf": map[string]any{"jkt": "x", "x5t#S256": strings.Repeat("A", 43)}},
	}
	const strict = `, "issuer": "i", "audiences": ["api"], "requiredClaims": [{"claim": "scope", "allOf": ["read"]}]`
	for _, c := range []struct{ name, token, more, want string }{
		{"active", "plain", "", "200"},
		{"active, with all that is demanded", "full", strict, "200"},
		{"not active", "nobody", "", "401 inactive"},
		{"expired", "expired", "", "401 expired"},
		{"expired within the leeway", "expired", `, "leeway": "5m"`, "200"},
		{"not yet", "early", "", "401 not_yet"},
		{"true as text", "text-true", "", "503 no_answer"},
		{"nothing about active", "no-active", "", "503 no_answer"},
		{"not an object", "list", "", "503 no_answer"},
		{"an exp that is a text", "bad-exp", "", "503 no_answer"},
		{"an exp that is null", "null-exp", "", "200"},
		{"without the scope", "scope-less", strict, "403 claims"},
		{"for another audience", "other-aud", strict, "401 audience"},
		{"of another issuer", "other-iss", strict, "401 issuer"},
		{"without an issuer", "plain", `, "issuer": "i"`, "401 issuer"},
		{"bound to a key of DPoP", "dpop", "", "401 bound"},
		{"bound to more than is checked", "two-cnf", "", "401 bound"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, tokens)
			r := s.host(t, c.more).Get("/", with(c.token)...)
			if got := outcome(r); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if r.Upstream != nil && r.Upstream.Header.Get("authorization") != "" {
				t.Errorf("the upstream is sent %q, want no token", r.Upstream.Header.Get("authorization"))
			}
		})
	}
}

func TestRequests(t *testing.T) {
	s := serve(t, map[string]any{"good": map[string]any{"active": true}})
	h := s.host(t, "")
	for _, c := range []struct {
		name, want string
		header     []string
	}{
		{"none", "401 missing", nil},
		{"another scheme", "401 missing", []string{"authorization", "Basic Z29vZA=="}},
		{"an empty one", "401 malformed", with("")},
		{"one with a space", "401 malformed", with("go od")},
		{"two joined", "401 malformed", with("good, Bearer good")},
		{"two", "400 several", append(with("good"), with("good")...)},
		{"a long one", "401 malformed", with(strings.Repeat("a", 33<<10))},
		{"bytes that are not ASCII", "401 malformed", with("go\xffod")},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := outcome(h.Get("/", c.header...)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	if n := s.questions(); n != 0 {
		t.Errorf("the server was asked %d times about tokens that are none, want 0", n)
	}
	r := h.Get("/", with("bad")...)
	if want := `Bearer realm="moe", error="invalid_token", error_description="the token is not active"`; r.Header.Get("www-authenticate") != want {
		t.Errorf("got the challenge %q, want %q", r.Header.Get("www-authenticate"), want)
	}
	if strings.Contains(h.Log(), "s3cret") {
		t.Errorf("the log has the client's secret: %s", h.Log())
	}
}

func TestIdentity(t *testing.T) {
	s := serve(t, map[string]any{
		"alice": map[string]any{"active": true, "sub": "a1", "client_id": "shop", "scope": "read"},
		"eve":   map[string]any{"active": true, "sub": "e1"},
		"evil":  map[string]any{"active": true, "sub": "a1\r\nx-admin: 1"},
	})
	h := s.host(t, `, "consumerClaim": "sub", "claimsToHeaders": [{"claim": "client_id", "header": "X-Client"}],
		"claimsToMetadata": ["scope"]`,
		&filter.Consumer{Name: "alice", Credentials: map[string]map[string]any{"introspection": {"subject": "a1"}}})
	for range 2 { // the second time from the cache
		r := h.Get("/", append(with("alice"), "x-client", "forged", "x-who", "forged")...)
		if outcome(r) != "200" {
			t.Fatalf("got %s, want 200", outcome(r))
		}
		got := []any{r.Upstream.Header.Values("x-client"), r.Upstream.Header.Values("x-who"), r.Metadata["moe.introspection/scope"]}
		if diff := cmp.Diff([]any{[]string{"shop"}, []string{"alice"}, "read"}, got); diff != "" {
			t.Errorf("client, consumer and scope (-want +got):\n%s", diff)
		}
	}
	for token, want := range map[string]string{"eve": "401 consumer", "evil": "401 consumer", "nobody": "401 inactive"} {
		t.Run(token, func(t *testing.T) {
			if got := outcome(h.Get("/", with(token)...)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
	h = s.host(t, `, "claimsToHeaders": [{"claim": "sub", "header": "x-user"}]`)
	if got := outcome(h.Get("/", with("evil")...)); got != "401 unfit_claim" {
		t.Errorf("a claim with a line break: got %s, want 401 unfit_claim", got)
	}
}

// TestBoundToCertificate: a token that is bound to a certificate is good for its owner, also from the cache, and for nobody else.
func TestBoundToCertificate(t *testing.T) {
	const digest = "3bf73a9ba77d3c0c9a23ae1ba1c0be0f96a8a06a8e8bf0f3ea3a4d1d2b2f1f0e"
	const encoded = "O_c6m6d9PAyaI64bocC-D5aooGqOi_Dz6jpNHSsvHw4"
	s := serve(t, map[string]any{"bound": map[string]any{"active": true, "cnf": map[string]any{"x5t#S256": encoded}}})
	h := s.host(t, "")
	for _, c := range []struct{ name, digest, want string }{
		{"nobody", "", "401 bound"},
		{"the owner", digest, "200"},
		{"the owner, in upper case with colons", strings.ToUpper(digest[:2] + ":" + digest[2:]), "200"},
		{"somebody else", strings.Repeat("0", 64), "401 bound"},
		{"somebody whose digest is not one", "x", "401 bound"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.Attrs = map[filter.Attr]string{}
			if c.digest != "" {
				h.Attrs[filter.AttrPeerDigest] = c.digest
			}
			if got := outcome(h.Get("/", with("bound")...)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// TestDPoP: a token that is bound to a key is good with a proof of the key, once, also from the cache.
func TestDPoP(t *testing.T) {
	owner, other := plugintest.NewProver(t), plugintest.NewProver(t)
	s := serve(t, map[string]any{"bound": map[string]any{"active": true, "cnf": map[string]any{"jkt": owner.Thumbprint}}})
	h := s.host(t, `, "dpop": {"origins": ["https://api.example"]}`)
	proof := owner.Proof(t, "bound", "GET", "https://api.example/")
	for _, c := range []struct {
		name   string
		header []string
		want   string
	}{
		{"proven", []string{"authorization", "DPoP bound", "dpop", proof}, "200"},
		{"the same proof", []string{"authorization", "DPoP bound", "dpop", proof}, "401 proof_replayed"},
		{"another proof", []string{"authorization", "dpop bound", "dpop", owner.Proof(t, "bound", "GET", "https://api.example/")}, "200"},
		{"another key", []string{"authorization", "DPoP bound", "dpop", other.Proof(t, "bound", "GET", "https://api.example/")}, "401 proof"},
		{"as a bearer token", with("bound"), "401 bound"},
		{"two", append(with("bound"), "authorization", "DPoP bound"), "400 several"},
		{"nothing", nil, "401 missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := outcome(h.Get("/", c.header...)); got != c.want {
				t.Errorf("got %s, want %s:\n%s", got, c.want, h.Log())
			}
		})
	}
}

func TestCache(t *testing.T) {
	tokens := map[string]any{
		"good":  map[string]any{"active": true},
		"brief": map[string]any{"active": true, "exp": time.Now().Add(2 * time.Second).Unix()},
	}
	for _, c := range []struct {
		name, more, token string
		wait              time.Duration
		want              int
	}{
		{name: "good", token: "good", want: 1},
		{name: "bad", token: "bad", want: 1},
		{name: "good, nothing remembered", more: `, "cacheSize": 0`, token: "good", want: 2},
		{name: "bad, not remembered", more: `, "refusedTTL": "0s"`, token: "bad", want: 2},
		{name: "good, too long ago", more: `, "cacheTTL": "10ms"`, token: "good", wait: 30 * time.Millisecond, want: 2},
		{name: "bad, too long ago", more: `, "refusedTTL": "10ms"`, token: "bad", wait: 30 * time.Millisecond, want: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, tokens)
			h := s.host(t, c.more)
			h.Get("/", with(c.token)...)
			time.Sleep(c.wait)
			h.Get("/", with(c.token)...)
			if n := s.questions(); n != c.want {
				t.Errorf("two requests: the server was asked %d times, want %d", n, c.want)
			}
		})
	}
	t.Run("until exp", func(t *testing.T) {
		h := serve(t, tokens).host(t, "")
		if got := outcome(h.Get("/", with("brief")...)); got != "200" {
			t.Fatalf("got %s, want 200", got)
		}
		deadline := time.Now().Add(10 * time.Second)
		for outcome(h.Get("/", with("brief")...)) != "401 expired" {
			if time.Now().After(deadline) {
				t.Fatal("the token still passes after its exp")
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	t.Run("guesses do not evict what is good", func(t *testing.T) {
		s := serve(t, tokens)
		h := s.host(t, `, "cacheSize": 16`)
		h.Get("/", with("good")...)
		for i := range 100 {
			h.Get("/", with(fmt.Sprint("guess", i))...)
		}
		before := s.questions()
		h.Get("/", with("good")...)
		if n := s.questions(); n != before {
			t.Errorf("the good token was asked about again after 100 guesses")
		}
	})
}

// TestRequestsShareAQuestion: requests with one token at the same time ask once.
func TestRequestsShareAQuestion(t *testing.T) {
	s := serve(t, nil)
	begun, release := make(chan struct{}, 100), make(chan struct{})
	s.say(func(string) (int, string) {
		begun <- struct{}{}
		<-release
		return 200, `{"active":true}`
	})
	h := s.host(t, `, "cacheSize": 0`)
	var wg sync.WaitGroup
	results := make(chan string, 50)
	for range 50 {
		wg.Go(func() { results <- outcome(h.Get("/", with("good")...)) })
	}
	<-begun
	time.Sleep(100 * time.Millisecond) // for the others to arrive
	close(release)
	wg.Wait()
	close(results)
	for got := range results {
		if got != "200" {
			t.Errorf("got %s, want 200", got)
		}
	}
	if n := s.questions(); n > 5 {
		t.Errorf("the server was asked %d times for 50 requests at once, want about 1", n)
	}
}

// TestServerFails: what cannot be decided is refused, nothing of it is remembered, and the next request asks again.
func TestServerFails(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
	}{
		{"an error", 500, ""},
		{"a refusal of the client", 401, `{"active":true}`},
		{"a redirect", 302, ""},
		{"a status of success that is another one", 201, `{"active":true}`},
		{"not JSON", 200, "active"},
		{"two answers in one", 200, `{"active":false,"active":true}`},
		{"a text after the answer", 200, `{"active":true}{}`},
		{"a body without an end", 200, `{"active":true,"x":"` + strings.Repeat("x", 2<<20) + `"}`},
		{"null", 200, "null"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, nil)
			s.say(func(string) (int, string) { return c.status, c.body })
			h := s.host(t, "")
			if got := outcome(h.Get("/", with("good")...)); got != "503 no_answer" {
				t.Errorf("got %s, want 503 no_answer", got)
			}
			s.say(func(string) (int, string) { return 200, `{"active":true}` })
			if got := outcome(h.Get("/", with("good")...)); got != "200" {
				t.Errorf("when it answers again: got %s, want 200", got)
			}
		})
	}
	t.Run("down", func(t *testing.T) {
		s := serve(t, nil)
		h := s.host(t, "")
		s.Close()
		if got := outcome(h.Get("/", with("good")...)); got != "503 no_answer" {
			t.Errorf("got %s, want 503 no_answer", got)
		}
		if n := h.Metric("moe.introspection.lookups_failed"); n != 1 {
			t.Errorf("lookups_failed is %d, want 1", n)
		}
	})
	t.Run("slow", func(t *testing.T) {
		s := serve(t, nil)
		release := make(chan struct{})
		t.Cleanup(func() { close(release) })
		s.say(func(string) (int, string) { <-release; return 200, `{"active":true}` })
		h := s.host(t, `, "connection": {"timeout": "50ms"}`)
		if got := outcome(h.Get("/", with("good")...)); got != "503 no_answer" {
			t.Errorf("got %s, want 503 no_answer", got)
		}
	})
}

func TestConfiguration(t *testing.T) {
	for _, c := range []struct{ name, config, want string }{
		{"no endpoint", `{"client": {"id": "a", "secret": "b"}}`, "endpoint"},
		{"http to another machine", `{"endpoint": "http://a.example/i", "client": {"id": "a", "secret": "b"}}`, "must be https"},
		{"no client", `{"endpoint": "https://a.example/i"}`, "client.id: is required"},
		{"no secret", `{"endpoint": "https://a.example/i", "client": {"id": "a"}}`, "secret: is required with auth: basic"},
		{
			"a key that is none",
			`{"endpoint": "https://a.example/i", "client": {"id": "a", "auth": "privateKeyJWT", "key": "hush"}}`, "key: is not a private key",
		},
		{
			"a secret that is not used",
			`{"endpoint": "https://a.example/i", "client": {"auth": "bearer", "token": "a", "secret": "hush"}}`, "secret: is not used",
		},
		{"a realm with quotes", `{"endpoint": "https://a.example/i", "client": {"id": "a", "secret": "b"}, "realm": "\""}`, "realm"},
		{
			"a cache without an age",
			`{"endpoint": "https://a.example/i", "client": {"id": "a", "secret": "b"}, "cacheTTL": "0s"}`, "cacheTTL",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := (&filtertest.Host{}).Load(t, filtertest.Config{Name: "introspection", JSON: c.config})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hush") {
				t.Errorf("got error %v, want one with %q and no secret", err, c.want)
			}
		})
	}
}

// FuzzAnswer: no answer lets a token pass but one whose active is true and whose other claims are as they should be.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{
		`{"active":true}`, `{"active":false}`, `{"active":true,"exp":4102444800,"iss":"i","aud":["api"]}`,
		`{"active":true,"aud":"api","cnf":{"x5t#S256":"O_c6m6d9PAyaI64bocC-D5aooGqOi_Dz6jpNHSsvHw4"}}`, `{"Active":true}`, `[]`, ``,
	} {
		f.Add([]byte(text))
	}
	p := &Introspection{Issuer: "i", Audiences: []string{"api"}}
	now := time.Now()
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := p.read(body, now)
		if err != nil || a.Value.why != nil {
			if err == nil && !a.Refused {
				t.Fatalf("%q: refused and remembered among the good ones", body)
			}
			return
		}
		var said map[string]any
		if err := json.Unmarshal(body, &said); err != nil || said["active"] != true || said["iss"] != "i" {
			t.Fatalf("%q passes; encoding/json reads %v, %v", body, said, err)
		}
		if !a.Until.IsZero() && a.Until.Before(now) {
			t.Fatalf("%q passes and ended at %s", body, a.Until)
		}
	})
}
