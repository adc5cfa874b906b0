package plugins

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// The plugins of the stage authz have the id "authz" here, so that Envoy's access log has their decisions.

// decides checks the decision about a request: its status, whether it reaches the upstream, and Envoy's access log.
func (l *listener) decides(decision string, status int, path string, header ...string) {
	l.b.Helper()
	r := l.get(path, header...)
	if r.Status != status || l.b.reached(r) != (status == http.StatusOK) {
		l.b.Errorf("%s %v: %d %q, want %d", path, header, r.Status, r.Body, status)
		return
	}
	if got := l.b.Access(r.ID)["decision"]; got != decision {
		l.b.Errorf("%s %v: Envoy's access log has the decision %v, want %s", path, header, got, decision)
	}
}

// tricks are other ways to write /admin.
var tricks = []string{
	"/admin", "/admin/x", "//admin", "/%61dmin", "/admin%2fx", "/admin%5cx", "/public/..;/admin", "/public/%2e%2e/admin",
	"/public/..%2fadmin", "/admin;x=y", "/public/%252e%252e/admin", "/admin%c0%af",
}

// keepsOut checks that no spelling of /admin passes.
func (l *listener) keepsOut(header ...string) {
	l.b.Helper()
	for _, path := range tricks {
		if r := l.get(path, header...); r.Status != 403 && r.Status != 400 || l.b.reached(r) {
			l.b.Errorf("%s passes: %d", path, r.Status)
		}
	}
}

// serve starts a server for the test.
func serve(t testing.TB, f http.HandlerFunc) string {
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return s.URL
}

func init() {
	add("iprestriction: lists", func(b *bed) {
		b.listen(`plugins: [{name: iprestriction, id: authz, config: {allow: [127.0.0.0/8]}}]`).decides("allow", 200, "/echo")
		ln := b.listen(`plugins: [{name: iprestriction, id: authz, config: {allow: [10.0.0.0/8]}}]`)
		ln.decides("deny", 403, "/echo")
		// This Envoy has no use_remote_address, and so believes the header.
		ln.decides("allow", 200, "/echo", "x-forwarded-for", "192.0.2.1, 10.0.0.1")
		ln.decides("deny", 403, "/echo", "x-forwarded-for", "10.0.0.1, 192.0.2.1")
		file := filepath.Join(b.TempDir(), "deny")
		replace(b, file, "192.0.2.0/24\n")
		ln = b.listen(`plugins: [{name: iprestriction, config: {denyFile: ` + file + `, poll: 20ms}}]`)
		ln.status(200, "/echo")
		replace(b, file, "127.0.0.0/8\n")
		ln.status(403, "/echo")
		replace(b, file, "nonsense\n")
		b.WaitLog("deny:1: expected a network")
		ln.status(403, "/echo")
		ln = b.listen(`plugins: [{name: iprestriction, config: {allow: [192.0.2.0/24], address: forwarded, trustedProxies: [10.0.0.0/8]}}]`)
		statuses := map[string]int{
			`for=198.51.100.1, for=192.0.2.1, for="10.0.0.1:80"`: 200, `for=192.0.2.1, for=198.51.100.1;by="10.0.0.1"`: 403, `for=192.0.2.1, for="`: 403,
		}
		for value, want := range statuses {
			if r := ln.get("/echo", "forwarded", value); r.Status != want {
				b.Errorf("forwarded: %s: got %d, want %d", value, r.Status, want)
			}
		}
		b.refused(`plugins: [{name: iprestriction, config: {allow: [10.0.0.0/40]}}]`)
	})

	add("iprestriction: x-forwarded-for", func(b *bed) {
		ln := b.listen(`plugins: [{name: iprestriction, id: authz, config: {allow: [10.0.0.0/8], address: xForwardedFor}}]`)
		ln.decides("allow", 200, "/echo", "x-forwarded-for", "192.0.2.1, 10.0.0.1")
		ln.decides("deny", 403, "/echo", "x-forwarded-for", "10.0.0.1, 192.0.2.1")
		ln.decides("deny", 403, "/echo")
	})

	add("casbin: roles", func(b *bed) {
		dir := b.TempDir()
		policy := filepath.Join(dir, "policy.csv")
		replace(b, policy, "p, reader, /public/:x, GET\ng, alice, reader\n")
		ln := b.listen(`plugins:
- name: casbin
  id: authz
  config:
    subject: {from: header, header: x-user}
    poll: 20ms
    policyFile: ` + policy + `
    model: |
      [request_definition]
      r = sub, obj, act
      [policy_definition]
      p = sub, obj, act
      [role_definition]
      g = _, _
      [policy_effect]
      e = some(where (p.eft == allow))
      [matchers]
      m = g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && r.act == p.act
`)
		ln.decides("allow", 200, "/public/x", "x-user", "alice")
		ln.decides("deny", 403, "/public/x", "x-user", "bob")
		ln.decides("deny", 403, "/public/x")
		ln.keepsOut("x-user", "alice")
		replace(b, policy, "p, reader, /public/:x, GET\ng, alice, reader\ng, bob, reader\n")
		ln.status(200, "/public/x", "x-user", "bob")
		replace(b, policy, "p, reader\n")
		b.WaitLog("policy.csv:1: a rule p has 3 values")
		ln.status(200, "/public/x", "x-user", "bob")
	})

	add("cel: consumers", func(b *bed) {
		ln := b.listen(`
plugins:
- name: keyauth
- name: cel
  id: authz
  config:
    allowIf: >-
      "staff" in consumer.groups && consumer.labels["plan"] == "gold" && !request.path.startsWith("/admin") &&
      cidr("127.0.0.0/8").containsIP(source.address) && metadata["moe"]["consumer"] == consumer.name
    metadata: [{namespace: moe, key: consumer}]
consumers:
- {name: alice, groups: [staff], labels: {plan: gold}, credentials: {keyauth: {key: a}}}
- {name: bob, groups: [staff], credentials: {keyauth: {key: b}}}
- {name: carol, labels: {plan: gold}, credentials: {keyauth: {key: c}}}
`)
		ln.decides("allow", 200, "/echo", "x-api-key", "a")
		ln.decides("error", 403, "/echo", "x-api-key", "b") // who has no plan
		ln.decides("deny", 403, "/echo", "x-api-key", "c")
		ln.keepsOut("x-api-key", "a")
		if why := b.refused(`plugins: [{name: cel, config: {allowIf: "request.pth == ''"}}]`); !strings.Contains(why,
			"line 1, column 8: undeclared reference") {
			b.Errorf("refused: %s", why)
		}
	})

	add("cel: shadow", func(b *bed) {
		ln := b.listen(`plugins: [{name: cel, id: authz, config: {allowIf: "request.method == 'POST'", shadow: true}}]`)
		ln.decides("deny", 200, "/echo")
		b.WaitMetric("moe.authz.shadow_denied", "", 1)
	})

	add("cedar: policies", func(b *bed) {
		ln := b.listen(`
plugins:
- name: keyauth
- name: cedar
  id: authz
  config:
    policies: |
      permit (principal in Group::"staff", action == Action::"GET", resource in Path::"/public");
      permit (principal == User::"root", action, resource);
      forbid (principal, action, resource in Path::"/admin") unless { context.source.isInRange(ip("10.0.0.0/8")) };
consumers:
- {name: alice, groups: [staff], credentials: {keyauth: {key: a}}}
- {name: root, credentials: {keyauth: {key: r}}}
`)
		ln.decides("allow", 200, "/public/x", "x-api-key", "a")
		ln.decides("deny", 403, "/publicity", "x-api-key", "a")
		ln.decides("allow", 200, "/publicity", "x-api-key", "r")
		ln.keepsOut("x-api-key", "a")
		ln.keepsOut("x-api-key", "r")
		if r := ln.post("/public/x", "body", "x-api-key", "a"); r.Status != 403 || b.reached(r) {
			b.Errorf("POST: %d", r.Status)
		}
	})

	add("extauth: allowed and denied", func(b *bed) {
		url := serve(b, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			switch {
			case r.Header.Get("Cookie") == "":
				w.Header().Set("Location", "/login?for="+r.URL.Path)
				w.WriteHeader(http.StatusFound)
			case string(body) == "evil":
				w.Header().Set("X-Why", "body")
				w.WriteHeader(http.StatusForbidden)
				io.WriteString(w, "no evil")
			default:
				w.Header().Set("X-User", "alice")
				w.Header().Set("Set-Cookie", "seen=1")
				w.Header().Set("X-Envoy-Auth-Headers-To-Remove", "cookie")
			}
		})
		ln := b.listen(`plugins: [{name: extauth, id: authz, config: {url: "` + url + `/check", timeout: 20s, send: [cookie],
			upstream: [x-user], clientOnSuccess: [set-cookie], requestBody: {maxBytes: 10}}}]`)
		ln.decides("allow", 200, "/echo", "cookie", "a=b")
		ln.decides("deny", 302, "/echo")
		r := ln.post("/echo", "good", "cookie", "a=b", "x-user", "root")
		if seen := b.upstream(r); r.Status != 200 || seen.Body != "good" || r.Header.Get("set-cookie") != "seen=1" ||
			strings.Join(seen.Header.Values("x-user"), ",") != "alice" || seen.Header.Get("cookie") != "" {
			b.Errorf("%d %q %v, the upstream sees %v", r.Status, r.Body, r.Header, seen.Header)
		}
		if r := ln.get("/echo"); r.Header.Get("location") != "/login?for=/check/echo" {
			b.Errorf(`r.Header.Get("location") = %q, want %q: %d, %v`,
				r.Header.Get("location"), "/login?for=/check/echo", r.Status, r.Header)
		}
		if r := ln.post("/echo", "evil", "cookie", "a=b"); r.Status != 403 || r.Body != "no evil" || b.reached(r) {
			b.Errorf("r.Status = %d, want 403; r.Body = %q, want %q; b.reached(r) = true, want false",
				r.Status, r.Body, "no evil")
		}
		if r := ln.post("/echo", "more than ten bytes", "cookie", "a=b"); r.Status != 413 || b.reached(r) {
			b.Errorf("r.Status = %d, want 413; b.reached(r) = true, want false: %q", r.Status, r.Body)
		}
	})

	add("extauth: no answer", func(b *bed) {
		release := make(chan struct{})
		b.Cleanup(func() { close(release) })
		slow := serve(b, func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		})
		b.listen(`plugins: [{name: extauth, id: authz, config: {url: "`+slow+`", timeout: 50ms, errorStatus: 503}}]`).
			decides("error", 503, "/echo")
		b.listen(`plugins: [{name: extauth, id: authz, config: {url: "`+slow+`", timeout: 50ms, failOpen: true}}]`).
			decides("error", 200, "/echo")
		gone := httptest.NewServer(http.NotFoundHandler())
		gone.Close()
		b.listen(`plugins: [{name: extauth, id: authz, config: {url: "`+gone.URL+`", timeout: 20s}}]`).
			decides("error", 403, "/echo")
	})

	add("extauth: over a cluster", func(b *bed) {
		const doc = `plugins: [{name: extauth, id: authz, config: {url: "http://up.example/body", cluster: up, timeout: 20s}}]`
		if b.Host.Name() != "dynmod" {
			if why := b.refused(doc); !strings.Contains(why, "cluster") {
				b.Errorf("refused: %s", why)
			}
			return
		}
		b.listen(doc).decides("allow", 200, "/echo")
		// Without the prefix, the service would be asked about a path for which it cuts the connection.
		b.listen(strings.Replace(doc, "/body", "", 1)).decides("error", 403, "/abort")
	})
}
