package openfga

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/authztest"

	_ "mosn.io/moe/plugins/cel" // the language
)

// server answers as OpenFGA does, where a test has it answer at all. The scenarios over Envoy have OpenFGA itself.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	body   string
	asked  []string // bodies of questions
	auth   string
}

func serve(t *testing.T, status int, body string) *server {
	s := &server{status: status, body: body}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q any
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.URL.Path != "/fga/stores/S1/check" || r.Method != "POST" {
			t.Errorf("got %s %s with %v, %v; want a POST of JSON to /fga/stores/S1/check", r.Method, r.URL.Path, q, err)
		}
		text, err := json.Marshal(q) // with its members in order
		if err != nil {
			t.Errorf("json.Marshal: %v", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked, s.auth = append(s.asked, string(text)), r.Header.Get("authorization")
		w.WriteHeader(s.status)
		fmt.Fprint(w, s.body)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *server) say(status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.body = status, body
}

// load runs the plugin for requests of a consumer, who may be nobody: "".
func (s *server) load(t *testing.T, name, more string) *filtertest.Host {
	t.Helper()
	var c *filter.Consumer
	if name != "" {
		c = &filter.Consumer{Name: name}
	}
	return authztest.Load(t, c, "openfga", fmt.Sprintf(`
url: %s/fga/
store: S1
errorStatus: 503
relation: 'request.method == "GET" ? "reader" : "writer"'
object: '"document:" + request.segments[0]'
%s`, s.URL, more))
}

func outcome(r *filtertest.Response) string {
	if r.Upstream != nil {
		return "passes"
	}
	return fmt.Sprint(r.Status, " ", strings.TrimPrefix(r.Details, "moe.openfga."))
}

func TestQuestions(t *testing.T) {
	s := serve(t, 200, `{"allowed": true}`)
	h := s.load(t, "alice", "model: M1\ntoken: geheim\nconsistency: higherConsistency")
	for range 2 { // the second time from the cache
		if got := outcome(h.Get("/plan/x?y=z")); got != "passes" {
			t.Errorf("got %s, want it to pass", got)
		}
	}
	h.Post("/plan", "")
	tuple := `{"authorization_model_id":"M1","consistency":"HIGHER_CONSISTENCY",` +
		`"tuple_key":{"object":"document:plan","relation":"%s","user":"user:alice"}}`
	want := []string{fmt.Sprintf(tuple, "reader"), fmt.Sprintf(tuple, "writer")}
	if diff := cmp.Diff(want, s.questions()); diff != "" {
		t.Errorf("the questions (-want +got):\n%s", diff)
	}
	if s.auth != "Bearer geheim" {
		t.Errorf("the server gets the key %q, want Bearer geheim", s.auth)
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
		{name: "yes", status: 200, body: `{"allowed":true,"resolution":""}`, want: "passes", asked: 1},
		{name: "no", status: 200, body: `{"allowed":false}`, want: "403 denied", asked: 1},
		{name: "nothing", status: 200, body: `{}`, want: "503 error", asked: 2},
		{name: "yes as text", status: 200, body: `{"allowed":"true"}`, want: "503 error", asked: 2},
		{name: "yes and no", status: 200, body: `{"allowed":false,"allowed":true}`, want: "503 error", asked: 2},
		{name: "not JSON", status: 200, body: `true`, want: "503 error", asked: 2},
		{name: "a relation that is not known", status: 400, body: `{"code":"validation_error","message":"about alice"}`, want: "503 error", asked: 2},
		{name: "a key that is wrong", status: 401, body: `{"allowed":true}`, want: "503 error", asked: 2},
		{name: "a redirect", status: 302, body: `{"allowed":true}`, want: "503 error", asked: 2},
		{name: "an error", status: 500, body: `{"allowed":true}`, want: "503 error", asked: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, c.status, c.body)
			h := s.load(t, "alice", "")
			for range 2 {
				if got := outcome(h.Get("/plan")); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
			}
			if n := len(s.questions()); n != c.asked {
				t.Errorf("OpenFGA was asked %d times by two requests, want %d", n, c.asked)
			}
			if strings.Contains(h.Log(), "about alice") {
				t.Errorf("the log has OpenFGA's text: %s", h.Log())
			}
			s.say(200, `{"allowed":true}`)
			if got := outcome(h.Get("/other")); got != "passes" {
				t.Errorf("about another object, when it says yes: got %s, want it to pass", got)
			}
		})
	}
	t.Run("down", func(t *testing.T) {
		s := serve(t, 200, "")
		h := s.load(t, "alice", "")
		s.Close()
		if got := outcome(h.Get("/plan")); got != "503 error" {
			t.Errorf("got %s, want 503 error", got)
		}
	})
	t.Run("down, open", func(t *testing.T) {
		s := serve(t, 200, "")
		h := s.load(t, "alice", "failOpen: true")
		s.Close()
		if got := outcome(h.Get("/plan")); got != "passes" {
			t.Errorf("got %s, want it to pass", got)
		}
	})
}

// TestWhoIsNotAsked: a name that means others to OpenFGA, or nothing, is denied without asking.
func TestWhoIsNotAsked(t *testing.T) {
	for _, c := range []struct{ name, consumer, path, more, want string }{
		{name: "nobody", path: "/plan", want: "403 denied"},
		{name: "everybody", consumer: "*", path: "/plan", want: "403 denied"},
		{name: "a group", consumer: "staff#member", path: "/plan", want: "403 denied"},
		{name: "a name with a space", consumer: "a b", path: "/plan", want: "403 denied"},
		{name: "a long name", consumer: strings.Repeat("a", 600), path: "/plan", want: "403 denied"},
		{name: "all objects", consumer: "alice", path: "/*", want: "403 denied"},
		{name: "a set of objects", consumer: "alice", path: "/plan%23x", want: "403 denied"},
		{name: "no object", consumer: "alice", path: "/", want: "403 denied"}, // the expression fails
		{name: "no object, with failOpen", consumer: "alice", path: "/", more: "failOpen: true", want: "403 denied"},
		{name: "an ambiguous path", consumer: "alice", path: "/a/..%2fplan", want: "400 path"},
		{name: "no type", consumer: "alice", path: "/plan", more: "user: consumer.name", want: "403 denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, 200, `{"allowed":true}`)
			if got := outcome(s.load(t, c.consumer, c.more).Get(c.path)); got != c.want || len(s.questions()) > 0 {
				t.Errorf("got %s and the questions %q, want %s and none", got, s.questions(), c.want)
			}
		})
	}
}

// TestBusy: clients cannot have more questions under way than there may be, and pass by failOpen.
func TestBusy(t *testing.T) {
	const most = 1000
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer s.Close()
	h := (&server{Server: s}).load(t, "alice", "failOpen: true\ntimeout: 20s")
	results := make(chan string, most+1)
	for i := range most + 1 {
		go func() { results <- outcome(h.Get(fmt.Sprintf("/plan%d", i))) }()
	}
	got := <-results // of the only one that does not wait
	close(release)
	if got != "503 busy" {
		t.Errorf("got %s, want 503 busy", got)
	}
	for range most {
		<-results
	}
}

func TestConfiguration(t *testing.T) {
	const begin = "store: S1\nrelation: '\"r\"'\nobject: '\"o:1\"'\n"
	for _, c := range []struct{ name, config, want string }{
		{"no url", begin, "url"},
		{"in the clear", begin + "url: http://a.example", "must be https"},
		{"a store that is a path", strings.Replace(begin, "S1", "../x", 1) + "url: https://a.example", "store"},
		{"no relation", "url: https://a.example\nstore: S1\nobject: '\"o:1\"'", "relation"},
		{"a user that is not text", begin + "url: https://a.example\nuser: '1'", "user"},
		{"an expression that is malformed", begin + "url: https://a.example\nuser: '('", "user"},
		{"a cache without an age", begin + "url: https://a.example\ncacheTTL: 0s", "cacheTTL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := authztest.Refused(t, "openfga", c.config); !strings.Contains(err, c.want) {
				t.Errorf("got error %q, want one with %q", err, c.want)
			}
		})
	}
}

// FuzzEntity: whatever a caller is called, the user is one of the type that the expression says.
func FuzzEntity(f *testing.F) {
	for _, name := range []string{"alice", "*", "a#b", "a:b", "", " ", "a\u00a0b", "\xff"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		q := question{User: "user:" + name, Relation: "reader", Object: "document:" + name}
		if q.unfit() != "" {
			return
		}
		text, err := json.Marshal(q)
		if err != nil {
			t.Fatalf("json.Marshal: %v", err)
		}
		var read question
		if err := json.Unmarshal(text, &read); err != nil || read != q || name == "" || strings.ContainsAny(name, "*# \t\r\n\x00") {
			t.Fatalf("the name %q is asked about as %s", name, text)
		}
	})
}
