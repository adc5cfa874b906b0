package plugins

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"

	"mosn.io/moe/e2e/client"
)

// provider is a real OpenID provider, of github.com/zitadel/oidc, for all cases. It lives as long as the process, because
// its list of clients is a variable of that package. The cases of several hosts run at once, and who signs out ends all
// sessions of the user and the client; so a client in which somebody signs out is of no use to other cases.
var provider = sync.OnceValue(func() string {
	const callback = "http://app.test/oidc/callback"
	for _, name := range []string{"web", "leaving", "brief"} {
		storage.RegisterClients(storage.WebClient(name, name+"-secret", callback))
	}
	var op http.Handler
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, _, _ := r.BasicAuth(); r.URL.Path == "/oauth/token" && id == "brief" {
			brief(op, w, r)
			return
		}
		op.ServeHTTP(w, r)
	}))
	op = exampleop.SetupServer(s.URL, storage.NewStorage(storage.NewUserStore(s.URL)), slog.New(slog.DiscardHandler), false)
	return s.URL
})

// brief has the provider issue access tokens that expire in a second, so that each request must refresh them.
func brief(op http.Handler, w http.ResponseWriter, r *http.Request) {
	answer := httptest.NewRecorder()
	op.ServeHTTP(answer, r)
	var tokens m
	if err := json.Unmarshal(answer.Body.Bytes(), &tokens); err != nil || answer.Code != 200 {
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes())
		return
	}
	tokens["expires_in"] = 1
	w.Header().Set("content-type", "application/json")
	json.NewEncoder(w).Encode(tokens)
}

// browser keeps the cookies of app.test.
type browser struct {
	b   *bed
	ln  *listener
	jar map[string]string
}

func (w *browser) get(path string, header ...string) *client.Response {
	w.b.Helper()
	return w.do(client.Request{Path: path, Header: append([]string{"accept", "text/html"}, header...)})
}

func (w *browser) do(q client.Request) *client.Response {
	w.b.Helper()
	q.Host = "app.test"
	for k, v := range w.jar {
		q.Header = append(q.Header, "cookie", k+"="+v)
	}
	r := w.ln.Do(q)
	for _, c := range (&http.Response{Header: r.Header}).Cookies() {
		if c.MaxAge < 0 {
			delete(w.jar, c.Name)
		} else {
			w.jar[c.Name] = c.Value
		}
	}
	return r
}

// consent signs the provider's test user in, as they would in its pages, and returns where that leads.
func (b *bed) consent(address string) *url.URL {
	b.Helper()
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	follow := func(r *http.Response, err error) *url.URL {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
		defer r.Body.Close()
		to, err := r.Location()
		if err != nil {
			text, _ := io.ReadAll(r.Body)
			b.Fatalf("%s: %v: %s", r.Status, err, text)
		}
		return to
	}
	page := follow(c.Get(address))
	page = follow(c.PostForm(page.String(), url.Values{
		"username": {"test-user@127.0.0.1"}, "password": {"verysecure"}, "id": {page.Query().Get("authRequestID")},
	}))
	return follow(c.Get(page.String()))
}

// signIn signs in and returns where the user is redirected to.
func (w *browser) signIn(path string) string {
	w.b.Helper()
	r := w.get(path)
	if r.Status != 302 || w.b.reached(r) {
		w.b.Fatalf("%d %s", r.Status, r.Body)
	}
	back := w.b.consent(r.Header.Get("location"))
	if back.Host != "app.test" {
		w.b.Fatalf("the provider leads to %s", back)
	}
	r = w.get(back.RequestURI())
	if r.Status != 302 {
		w.b.Fatalf("%d %s", r.Status, r.Body)
	}
	return r.Header.Get("location")
}

func oidcDoc(client string, more string) string {
	return fmt.Sprintf(`plugins: [{name: oidc, config: {issuer: %q, clientID: %s, clientSecret: %s-secret,
		redirect: "http://app.test/oidc/callback", cookieSecrets: [0123456789abcdef0123456789abcdef],
		cookie: {name: session, insecure: true}, scopes: [offline_access, email],
		claimsToHeaders: [{claim: sub, header: x-user}], %s}}]`, provider(), client, client, more)
}

func init() {
	add("oidc: sign in and out", func(b *bed) {
		ln := b.listen(oidcDoc("leaving", `logout: {path: /logout, provider: true}`))
		if r := ln.get("/echo"); r.Status != 401 || b.reached(r) {
			b.Errorf("a program gets %d", r.Status)
		}
		w := &browser{b, ln, map[string]string{}}
		if to := w.signIn("/echo?a=b"); to != "/echo?a=b" {
			b.Errorf("led to %s", to)
		}
		w.jar["mine"] = "1"
		r := w.get("/echo", "x-user", "root")
		if r.Status != 200 {
			b.Fatalf("%d %s", r.Status, r.Body)
		}
		seen := b.upstream(r).Header
		if strings.Join(seen.Values("x-user"), ",") != "id1" || strings.Join(seen.Values("cookie"), "; ") != "mine=1" {
			b.Errorf("the upstream sees %v", seen)
		}
		for name, value := range map[string]string{"changed": w.jar["session"] + "A", "none": ""} {
			bad := &browser{b, ln, map[string]string{"session": value}}
			if r := bad.get("/echo"); r.Status != 302 || b.reached(r) {
				b.Errorf("%s: %d", name, r.Status)
			}
		}
		r = w.get("/logout")
		to, err := url.Parse(r.Header.Get("location"))
		if r.Status != 302 || err != nil || w.jar["session"] != "" || !strings.HasPrefix(to.String(), provider()) {
			b.Fatalf("%d %v %v", r.Status, to, err)
		}
		end, err := http.Get(to.String())
		if err != nil {
			b.Fatal(err)
		}
		end.Body.Close()
		if end.StatusCode != 200 || end.Request.URL.Path != "/logged-out" {
			b.Errorf("the provider says %s at %s", end.Status, end.Request.URL)
		}
		if r := w.get("/echo"); r.Status != 302 || b.reached(r) {
			b.Errorf("after signing out: %d", r.Status)
		}
	})

	add("oidc: another browser's state", func(b *bed) {
		ln := b.listen(oidcDoc("web", ""))
		attacker, victim := &browser{b, ln, map[string]string{}}, &browser{b, ln, map[string]string{}}
		victim.get("/echo")
		back := b.consent(attacker.get("/echo").Header.Get("location"))
		r := victim.get(back.RequestURI())
		if r.Status != 400 || victim.jar["session"] != "" {
			b.Errorf("%d %v", r.Status, victim.jar)
		}
		if got := b.Access(r.ID)["details"]; got != "moe.oidc.state" {
			b.Errorf("the details are %v", got)
		}
		// The code is still good where it belongs, and once.
		if r := attacker.get(back.RequestURI()); r.Status != 302 || attacker.jar["session"] == "" {
			b.Errorf("%d %s", r.Status, r.Body)
		}
		if r := attacker.get(back.RequestURI()); r.Status != 400 {
			b.Errorf("again: %d %s", r.Status, r.Body)
		}
	})

	add("oidc: refresh", func(b *bed) {
		ln := b.listen(oidcDoc("brief", "forwardAccessToken: true"))
		w := &browser{b, ln, map[string]string{}}
		w.signIn("/echo")
		var tokens []string
		for range 2 {
			before := w.jar["session"]
			r := w.get("/echo")
			if r.Status != 200 || w.jar["session"] == before {
				b.Fatalf("%d %s", r.Status, r.Body)
			}
			tokens = append(tokens, b.upstream(r).Header.Get("authorization"))
		}
		if tokens[0] == tokens[1] || !strings.HasPrefix(tokens[0], "Bearer ") {
			b.Errorf("the access tokens are not new")
		}
	})

	add("oidc: a provider that is down", func(b *bed) {
		s := httptest.NewServer(http.NotFoundHandler())
		s.Close()
		ln := b.listen(strings.ReplaceAll(oidcDoc("web", ""), provider(), s.URL))
		w := &browser{b, ln, map[string]string{}}
		if r := w.get("/echo"); r.Status != 503 || b.reached(r) || r.Header.Get("retry-after") == "" {
			b.Errorf("%d %s", r.Status, r.Body)
		}
	})
}
