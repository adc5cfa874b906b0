package opa

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/authztest"
)

var alice = &filter.Consumer{
	Name: "alice", Groups: []string{"editors"}, Labels: map[string]string{"plan": "gold"},
	Attributes: map[string]any{"limit": 10},
}

func indent(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n    ") }

// doc is a configuration with one module. Decisions may take their time, unless more says otherwise.
func doc(module, more string) string {
	if !strings.Contains(more, "timeout:") {
		more = "timeout: 20s\n" + more
	}
	return "modules:\n  policy.rego: |\n    " + indent(module) + "\n" + more
}

// rule is a module in which allow holds if body does.
func rule(body string) string { return "package moe\nallow if {\n" + body + "\n}" }

func TestRules(t *testing.T) {
	for _, c := range []struct {
		body   string
		status int
	}{
		{`true`, 200},
		{`false`, 403},
		{`input.request.method == "POST"; input.request.scheme == "http"; input.request.host == "example.com"`, 200},
		{`input.request.path == "/a/b"; input.request.segments == ["a", "b"]`, 200},
		{`input.request.raw_path == "/a//b?x=1&x=2"; input.request.query.x == ["1", "2"]`, 200},
		{`input.request.headers["x-two"] == "1,2"; input.request.headers.host == "example.com"`, 200},
		{`input.request.headers[":path"]`, 403},
		{`input.source.address == "10.1.2.3"; input.source.port == 4567; net.cidr_contains("10.0.0.0/8", input.source.address)`, 200},
		{`input.source.principal == ""`, 200},
		{`input.consumer.name == "alice"; "editors" in input.consumer.groups; input.consumer.labels.plan == "gold"`, 200},
		{`input.consumer.attributes.limit == 10`, 200},
		{`input.metadata.jwt.sub == "anna"; not input.metadata.jwt.none`, 200},
		{`input.request.headers.missing == "x"`, 403},
		{`data.users[input.consumer.name].role == "writer"`, 200},
	} {
		t.Run(fmt.Sprintf("%.40q", c.body), func(t *testing.T) {
			more := "metadata: [{namespace: jwt, key: sub}, {namespace: jwt, key: none}]\ndata: {users: {alice: {role: writer}}}"
			h := authztest.Load(t, alice, "opa", doc(rule(c.body), more))
			h.Metadata = map[string]any{"jwt/sub": "anna"}
			r := h.Do(filtertest.NewRequest("POST", "/a//b?x=1&x=2", "body", "x-two", "1", "x-two", "2"))
			if r.Status != c.status || (r.Upstream != nil) != (c.status == 200) {
				t.Errorf("%s: r.Status = %d, want %d; r.Upstream != nil = %v, want %v\n%s",
					c.body, r.Status, c.status, (r.Upstream != nil), (c.status == 200), h.Log())
			}
		})
	}
	h := authztest.Load(t, nil, "opa", doc(rule(`input.consumer == {"name": "", "groups": [], "labels": {}, "attributes": {}}`), ""))
	if r := h.Get("/"); r.Status != 200 {
		t.Errorf("r.Status = %d, want 200: %q", r.Status, h.Log())
	}
}

// What a policy may decide. decision is the value of data.moe.allow.
func TestDecisions(t *testing.T) {
	for _, c := range []struct {
		decision string
		status   int
		details  string
	}{
		{`true`, 200, ""},
		{`false`, 403, "moe.opa.denied"},
		{`{"allow": true}`, 200, ""},
		{`{"allow": false}`, 403, "moe.opa.denied"},
		{`{"allow": false, "status": 429, "body": "wait", "headers": {"retry-after": "5"}}`, 429, "moe.opa.denied"},
		{`{"allow": false, "status": 302, "headers": {"location": "/login", "set-cookie": ["a=1", "b=2"]}}`, 302, "moe.opa.denied"},
		{`{"allow": false, "body": "no"}`, 403, "moe.opa.denied"},
		{`{"allow": true, "status": 429}`, 200, ""},
		{`{}`, 403, "moe.opa.denied"},
		{`{"allow": "true"}`, 403, "moe.opa.error"},
		{`{"allow": 1}`, 403, "moe.opa.error"},
		{`{"allow": null}`, 403, "moe.opa.error"},
		{`"true"`, 403, "moe.opa.error"},
		{`1`, 403, "moe.opa.error"},
		{`["allow"]`, 403, "moe.opa.error"},
		{`null`, 403, "moe.opa.error"},
		{`{"allow": false, "status": 200}`, 403, "moe.opa.error"},
		{`{"allow": false, "status": 403.5}`, 403, "moe.opa.error"},
		{`{"allow": false, "status": 1e99}`, 403, "moe.opa.error"},
		{`{"allow": false, "status": "403"}`, 403, "moe.opa.error"},
		{`{"allow": false, "body": 1}`, 403, "moe.opa.error"},
		{`{"allow": false, "reason": 1}`, 403, "moe.opa.error"},
		{`{"allow": false, "headers": []}`, 403, "moe.opa.error"},
		{`{"allow": false, "headers": {"a b": "c"}}`, 403, "moe.opa.error"},
		{`{"allow": false, "headers": {"a": "c\r\nd: e"}}`, 403, "moe.opa.error"},
		{`{"allow": false, "headers": {"a": [1]}}`, 403, "moe.opa.error"},
		{`{"allow": true, "request_headers": {"a": 1}}`, 403, "moe.opa.error"},
		{`{"allow": true, "request_headers": {":path": "/admin"}}`, 403, "moe.opa.error"},
	} {
		t.Run(fmt.Sprintf("%.40q", c.decision), func(t *testing.T) {
			h := authztest.Load(t, alice, "opa", doc("package moe\nallow := "+c.decision, ""))
			if r := h.Get("/"); r.Status != c.status || r.Details != c.details {
				t.Errorf("%s: r.Status = %d, want %d; r.Details = %q, want %q\n%s",
					c.decision, r.Status, c.status, r.Details, c.details, h.Log())
			}
		})
	}
	h := authztest.Load(t, alice, "opa", doc("package moe\nallow := "+
		`{"allow": true, "reason": "vip", "request_headers": {"x-user": "alice", "x-list": ["1", "2"], "x-gone": ""}}`, ""))
	r := h.Get("/", "x-user", "mallory", "x-gone", "1", "x-list", "0")
	if u := r.Upstream; u == nil || u.Header.Get("x-user") != "alice" || len(u.Header["X-User"]) != 1 ||
		fmt.Sprint(u.Header["X-List"]) != "[1 2]" || u.Header.Get("x-gone") != "" || r.Metadata["moe.opa/reason"] != "vip" {
		t.Errorf("got %+v, want the policy's request headers and its reason", r)
	}
	h = authztest.Load(t, alice, "opa", doc("package moe\nallow := "+
		`{"allow": false, "status": 302, "headers": {"location": "/login", "set-cookie": ["a=1", "b=2"]}}`, ""))
	if r := h.Get("/"); r.Header.Get("location") != "/login" || len(r.Header["Set-Cookie"]) != 2 {
		t.Errorf(`r.Header.Get("location") = %q, want %q; got %d of r.Header["Set-Cookie"], want 2: %q: %v`,
			r.Header.Get("location"), "/login", len(r.Header["Set-Cookie"]), r.Header["Set-Cookie"], r.Header)
	}
	h = authztest.Load(t, alice, "opa", doc("package moe\nallow := "+
		`{"allow": true, "request_headers": {"x-user": "alice"}}`, "shadow: true"))
	if r := h.Get("/", "x-user", "bob"); r.Upstream.Header.Get("x-user") != "bob" {
		t.Error("shadow changes the request")
	}
}

func TestDecisionPath(t *testing.T) {
	const module = "package app.authz\ndefault allow := false\nallow if input.request.method == \"GET\"\nhelper := 1"
	for path, want := range map[string]int{
		"app/authz/allow": 200, "/app/authz/allow/": 200, "app/authz": 200, "app/authz/none": 403, "app/authz/helper": 403, "none": 403,
	} {
		t.Run(path, func(t *testing.T) {
			h := authztest.Load(t, nil, "opa", doc(module, "decision: "+path))
			if r := h.Get("/"); r.Status != want {
				t.Errorf("%s: r.Status = %d, want %d: %s", path, r.Status, want, h.Log())
			}
			if r := h.Post("/", "x"); r.Status != 403 {
				t.Errorf("%s: r.Status = %d, want 403", path, r.Status)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	const module = `to_number(input.request.headers["x-level"]) > 1`
	h := authztest.Load(t, nil, "opa", doc(rule(module), "errorStatus: 500"))
	r := h.Get("/", "x-level", "geheim")
	if r.Status != 500 || strings.Contains(h.Log(), "geheim") || !strings.Contains(h.Log(), "eval_builtin_error at policy.rego:3") {
		t.Errorf("r.Status = %d, want 500; h.Log() = %q, want it without %q, and it to contain %q",
			r.Status, h.Log(), "geheim", "eval_builtin_error at policy.rego:3")
	}
	if r := h.Get("/", "x-level", "2"); r.Status != 200 {
		t.Errorf("r.Status = %d, want 200", r.Status)
	}
	h = authztest.Load(t, nil, "opa", doc(rule(module), "errorStatus: 500\nstrictErrors: false"))
	if r := h.Get("/", "x-level", "geheim"); r.Status != 403 {
		t.Errorf("r.Status = %d, want 403", r.Status)
	}
	h = authztest.Load(t, nil, "opa", doc("package moe\nallow := true if input.request.method == \"GET\"\n"+
		"allow := false if input.request.path == \"/x\"", ""))
	if r := h.Get("/x"); r.Status != 403 || !strings.Contains(h.Log(), "eval_conflict_error") {
		t.Errorf("r.Status = %d, want 403; h.Log() = %q, want it to contain %q",
			r.Status, h.Log(), "eval_conflict_error")
	}
	// A policy that takes for ever.
	slow := rule(`some i in numbers.range(1, 100000000); i < 0`)
	h = authztest.Load(t, nil, "opa", doc(slow, "timeout: 50ms"))
	if r := h.Get("/"); r.Status != 403 || r.Details != "moe.opa.error" {
		t.Errorf("r.Status = %d, want 403; r.Details = %q, want %q", r.Status, r.Details, "moe.opa.error")
	}
	h = authztest.Load(t, nil, "opa", doc(slow, "timeout: 50ms\nfailOpen: true"))
	if r := h.Get("/"); r.Status != 200 {
		t.Errorf("r.Status = %d, want 200", r.Status)
	}
}

func TestPaths(t *testing.T) {
	authztest.Paths(t,
		authztest.Load(t, nil, "opa", doc(rule(`input.request.segments[0] != "admin"`), "")),
		authztest.Load(t, nil, "opa", doc(rule(`startswith(input.request.path, "/public/")`), "")))
}

func TestBytes(t *testing.T) {
	h := authztest.Load(t, nil, "opa", doc(rule(`input.request.headers["x"] == "1"`), ""))
	for _, v := range []string{"", "\xff", strings.Repeat("1", 1<<20), `"`, "1\t1"} {
		t.Run(fmt.Sprintf("%.40q", v), func(t *testing.T) {
			if r := h.Get("/?"+strings.Repeat("a=%ff&", 1000), "x", v); r.Status != 403 {
				t.Errorf("%.10q: r.Status = %d, want 403", v, r.Status)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		authztest.Replace(t, filepath.Join(dir, name), text)
		return filepath.Join(dir, name)
	}
	for config, want := range map[string]string{
		`{}`:                                                      "modules: is required",
		doc("package moe\nallow {", ""):                           "policy.rego:",
		doc("package moe\nallow = x", ""):                         "policy.rego:",
		doc(rule("true"), "decision: ''"):                         "decision",
		doc(rule("true"), "decision: a//b"):                       "decision",
		doc(rule("true"), "timeout: -1s"):                         "timeout",
		doc(rule("true"), "remote: {url: 'http://127.0.0.1/'}"):   "there must be one",
		doc(rule("true"), "data: {moe: {allow: true}}"):           "conflict",
		"modules: {a: ''}":                                        "a:0: rego_parse_error: empty module",
		"remote: {}":                                              "remote.url",
		"remote: {url: 'ftp://x/'}":                               "remote.url",
		"remote: {url: 'http://opa.example/v1/data'}":             "remote.url: must be https",
		"bundle: {}":                                              "bundle.file: is required",
		"bundle: {file: a, url: 'https://x/'}":                    "bundle.file and url are mutually exclusive",
		"bundle: {file: a, algorithm: none}":                      "bundle.algorithm",
		"bundle: {file: /not/there}":                              "/not/there",
		"files: [/not/there]":                                     "/not/there",
		"files: [" + file("a.rego", "package x\n\nallow {") + "]": "a.rego:3",
		"files: [" + file("a.json", `{"a": 1} {`) + "]":           "a.json",
		"files: [" + file("b.json", `[1]`) + "]":                  "b.json: the data is not an object",
		"files: [" + file("c.json", `{"a": {"b": 1}}`) + ", " + file("d.yaml", "a: {b: 2}") + "]": "d.yaml: a.b: duplicate key",
		"bundle: {file: " + file("x.tar.gz", "no bundle") + "}":                                   "the bundle",
		"data: {a: 1}\nremote: {url: 'http://127.0.0.1/'}":                                        "data: is for modules",
	} {
		t.Run(fmt.Sprintf("%.40q", config), func(t *testing.T) {
			if got := authztest.Refused(t, "opa", config); !strings.Contains(got, want) {
				t.Errorf(`%s: authztest.Refused("opa", config) = %q, want it to contain %q`, config, got, want)
			}
		})
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "team", "web"), 0o700); err != nil {
		t.Fatalf("os.MkdirAll: %v", err)
	}
	policy, data := filepath.Join(dir, "policy.rego"), filepath.Join(dir, "team", "web", "data.json")
	authztest.Replace(t, policy, rule(`data.team.web.open[input.request.path]`))
	authztest.Replace(t, data, `{"open": {"/a": true}}`)
	authztest.Replace(t, filepath.Join(dir, "more.yaml"), "team: {name: x}\n")
	authztest.Replace(t, filepath.Join(dir, "README.md"), "no policy")
	h := authztest.Load(t, nil, "opa", "files: ["+dir+"]\npoll: 10ms\ntimeout: 20s")
	status := func(path string, want int) func() bool { return func() bool { return h.Get(path).Status == want } }
	if !status("/a", 200)() || !status("/b", 403)() {
		t.Fatal("the files do not hold", h.Log())
	}
	authztest.Replace(t, data, `{"open": {"/b": true}}`)
	authztest.Until(t, "the data holds", status("/b", 200))
	if !status("/a", 403)() {
		t.Error("old data holds")
	}
	authztest.Replace(t, data, `{"open": `)
	authztest.Until(t, "it is said why", func() bool { return strings.Contains(h.Log(), "data.json") })
	authztest.Replace(t, policy, "package moe\nallow {")
	authztest.Until(t, "it is said why", func() bool { return strings.Contains(h.Log(), "policy.rego:") })
	if !status("/b", 200)() {
		t.Error("broken files change what holds")
	}
	if err := os.Remove(policy); err != nil {
		t.Fatalf("os.Remove: %v", err)
	}
	authztest.Replace(t, data, `{}`)
	authztest.Until(t, "nothing is allowed", status("/b", 403))
}

func TestParallel(t *testing.T) {
	h := authztest.Load(t, nil, "opa", doc(rule(`regex.match("^v[0-9]$", input.request.headers.x)`), "timeout: 30s"))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			want, x := http.StatusOK, fmt.Sprint("v", i)
			if i%2 == 1 {
				want, x = http.StatusForbidden, "w"
			}
			for range 50 {
				if r := h.Get("/", "x", x); r.Status != want {
					t.Errorf("r.Status = %d, want %d", r.Status, want)
				}
			}
		}()
	}
	wg.Wait()
}

// The client goes away while the policy thinks.
func TestLeave(t *testing.T) {
	h := &filtertest.Host{Leave: func(after string) bool { return after == "waiting" }}
	slow := doc(rule(`some i in numbers.range(1, 100000000); i < 0`), "timeout: 30s")
	if err := h.Load(t, filtertest.Config{Name: "opa", JSON: slow}); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	if r := h.Get("/"); r.Reset != "left" || r.Upstream != nil {
		t.Errorf("r.Reset = %q, want %q; r.Upstream = %+v, want nil", r.Reset, "left", r.Upstream)
	}
}

func BenchmarkOPA(b *testing.B) {
	for name, module := range map[string]string{
		"constant": "package moe\nallow := true",
		"rules": `package moe
allow if { input.request.method == "GET"; input.request.segments[0] == "a"; data.users[input.request.headers["x-user"]] }`,
	} {
		b.Run(name, func(b *testing.B) {
			h := authztest.Load(b, nil, "opa", doc(module, "data: {users: {alice: true}}"))
			b.ReportAllocs()
			for b.Loop() {
				if h.Get("/a/b", "x-user", "alice").Status != 200 {
					b.Fatal("denied")
				}
			}
		})
	}
}
