package casbin

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/authztest"
	"mosn.io/moe/plugins/internal/plugintest"
)

const roles = `
[request_definition]
r = sub, obj, act

[policy_definition]
p = sub, obj, act

[role_definition]
g = _, _

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && (r.act == p.act || p.act == "*")
`

const withDeny = `
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = (p.sub == "*" || r.sub == p.sub) && (r.obj == p.obj || keyMatch(r.obj, p.obj)) && regexMatch(r.act, p.act)
`

const few = `
# who, what, how
p, admin, /*, *
p, reader, /articles/:id, GET
g, alice, admin
g, bob, reader
g, carol, bob
`

func consumer(name string) *filter.Consumer {
	if name == "" {
		return nil
	}
	return &filter.Consumer{Name: name}
}

func yaml(model, policy, more string) string {
	indent := func(s string) string { return strings.ReplaceAll(s, "\n", "\n  ") }
	return "model: |\n  " + indent(model) + "\npolicy: |\n  " + indent(policy) + "\n" + more
}

func TestRules(t *testing.T) {
	for _, c := range []struct {
		who, path string
		status    int
	}{
		{"alice", "/anything", 200},
		{"bob", "/articles/1", 200},
		{"carol", "/articles/1", 200},
		{"bob", "/articles/1/2", 403},
		{"bob", "/", 403},
		{"mallory", "/articles/1", 403},
		{"reader", "/articles/1", 200}, // a role is a subject, as Casbin has it
		{"", "/articles/1", 403},
		{`{"sub":"alice"}`, "/articles/1", 403},
		{"alice\x00", "/", 403},
	} {
		t.Run(fmt.Sprintf("%v %v", c.who, c.path), func(t *testing.T) {
			h := authztest.Load(t, consumer(c.who), "casbin", yaml(roles, few, ""))
			if r := h.Get(c.path); r.Status != c.status {
				t.Errorf("%q, %s: r.Status = %d, want %d\n%s", c.who, c.path, r.Status, c.status, h.Log())
			}
			if r := h.Post("/articles/1", "x"); (r.Status == 200) != (c.who == "alice") {
				t.Errorf("%q posts: %d", c.who, r.Status)
			}
		})
	}
}

func TestSubjects(t *testing.T) {
	for _, c := range []struct {
		name, more string
		header     []string
		status     int
	}{
		{
			name: "header", more: "subject: {from: header, header: x-user}", header: []string{"x-user", "alice"},
			status: 200,
		},
		{
			name: "unknown user", more: "subject: {from: header, header: x-user}",
			header: []string{"x-user", "geheim"}, status: 403,
		},
		{name: "no header", more: "subject: {from: header, header: x-user}", status: 403},
		{
			name: "empty header", more: "subject: {from: header, header: x-user}", header: []string{"x-user", ""},
			status: 403,
		},
		{
			name: "two headers", more: "subject: {from: header, header: x-user}",
			header: []string{"x-user", "geheim", "x-user", "alice"}, status: 403,
		},
		{
			name: "not UTF-8", more: "subject: {from: header, header: x-user}", header: []string{"x-user", "\xff\xfe"},
			status: 403,
		},
		{
			name: "long header", more: "subject: {from: header, header: x-user}",
			header: []string{"x-user", strings.Repeat("x", 1<<20)}, status: 403,
		},
		{name: "default", more: "subject: {from: header, header: x-user, default: alice}", status: 200},
		{name: "metadata", more: "subject: {from: metadata, namespace: jwt, key: sub}", status: 200},
		{name: "missing metadata", more: "subject: {from: metadata, namespace: jwt, key: none}", status: 403},
		{name: "list in metadata", more: "subject: {from: metadata, namespace: jwt, key: list}", status: 403},
		{
			name: "list in metadata, errorStatus",
			more: "subject: {from: metadata, namespace: jwt, key: list}\nerrorStatus: 500", status: 500,
		},
		{name: "no principal", more: "subject: {from: principal}", status: 403},
		{name: "no source", more: "subject: {from: source}", status: 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := authztest.Load(t, nil, "casbin", yaml(roles, few, c.more))
			h.Metadata = map[string]any{"jwt/sub": "alice", "jwt/list": []any{"alice"}}
			if r := h.Get("/", c.header...); r.Status != c.status {
				t.Errorf("%s, %.40q: r.Status = %d, want %d\n%.500s", c.more, c.header, r.Status, c.status, h.Log())
			}
			if strings.Contains(h.Log(), "geheim") {
				t.Errorf("h.Log() = %q, want it without %q", h.Log(), "geheim")
			}
		})
	}
	more := `request: [source, host, "header:x-tenant", scheme]`
	model := strings.NewReplacer("r = sub, obj, act", "r = ip, host, tenant, scheme", "p = sub, obj, act, eft",
		"p = net, host, tenant", "(p.sub == \"*\" || r.sub == p.sub) && (r.obj == p.obj || keyMatch(r.obj, p.obj)) && "+
			"regexMatch(r.act, p.act)", "ipMatch(r.ip, p.net) && r.host == p.host && r.tenant == p.tenant && r.scheme == 'http'",
		" && !some(where (p.eft == deny))", "").Replace(withDeny)
	h := authztest.Load(t, consumer("x"), "casbin", yaml(model, "p, 10.0.0.0/8, example.com, t1", more))
	for tenant, want := range map[string]int{"t1": 200, "t2": 403, "": 403} {
		t.Run(fmt.Sprintf("%q", tenant), func(t *testing.T) {
			if r := h.Get("/", "x-tenant", tenant); r.Status != want {
				t.Errorf("%q: r.Status = %d, want %d: %q", tenant, r.Status, want, h.Log())
			}
		})
	}
}

func TestPaths(t *testing.T) {
	denied := "p, *, /*, .*, allow\np, *, /admin, .*, deny\np, *, /admin/*, .*, deny"
	allowed := "p, *, /public/*, .*, allow"
	authztest.Paths(t, authztest.Load(t, consumer("bob"), "casbin", yaml(withDeny, denied, "")),
		authztest.Load(t, consumer("bob"), "casbin", yaml(withDeny, allowed, "")))
	h := authztest.Load(t, consumer("bob"), "casbin", yaml(withDeny, denied, "path: {ignoreCase: true}"))
	for _, path := range []string{"/ADMIN", "/Admin/x", "/%41dmin"} {
		t.Run(path, func(t *testing.T) {
			if r := h.Get(path); r.Upstream != nil {
				t.Errorf("%s passes", path)
			}
		})
	}
}

// A matcher that panics, as ipMatch does with what is not an address, is an error and not a decision.
func TestErrors(t *testing.T) {
	model := strings.ReplaceAll(withDeny, "regexMatch(r.act, p.act)", "ipMatch(r.act, p.act)")
	policy := "p, *, /*, 10.0.0.0/8, allow"
	h := authztest.Load(t, consumer("bob"), "casbin", yaml(model, policy, "errorStatus: 503"))
	if r := h.Get("/x"); r.Status != 503 || r.Details != "moe.casbin.error" || strings.Contains(h.Log(), "goroutine") {
		t.Errorf("r.Status = %d, want 503; r.Details = %q, want %q; h.Log() = %q, want it without %q",
			r.Status, r.Details, "moe.casbin.error", h.Log(), "goroutine")
	}
	h = authztest.Load(t, consumer("bob"), "casbin", yaml(model, policy, "failOpen: true"))
	if r := h.Get("/x"); r.Status != 200 || h.Metric("failed") != 1 {
		t.Errorf(`r.Status = %d, want 200; h.Metric("failed") = %d, want 1`, r.Status, h.Metric("failed"))
	}
	more := `request: [subject, path, "header:x-secret"]`
	h = authztest.Load(t, consumer("bob"), "casbin", yaml(strings.ReplaceAll(withDeny, "regexMatch(r.act, p.act)",
		"r.act > 5"), policy, more))
	if r := h.Get("/x", "x-secret", "geheim"); r.Status != 403 || strings.Contains(h.Log(), "geheim") {
		t.Errorf("r.Status = %d, want 403; h.Log() = %q, want it without %q", r.Status, h.Log(), "geheim")
	}
	h = authztest.Load(t, consumer("bob"), "casbin", yaml(roles, few, "shadow: true"))
	if r := h.Get("/x"); r.Status != 200 || h.Metric("shadow_denied") != 1 {
		t.Errorf(`r.Status = %d, want 200; h.Metric("shadow_denied") = %d, want 1`, r.Status, h.Metric("shadow_denied"))
	}
}

func TestRefused(t *testing.T) {
	for config, want := range map[string]string{
		`{}`:                        "model: is required",
		yaml(roles, "", ""):         "policy: is required",
		yaml("nonsense", few, ""):   "model",
		yaml("[matchers]", few, ""): "model",
		yaml(roles, few, "request: [subject, path]"):                             "3 values, and `request` lists 2",
		yaml(roles, few, "request: [subject, path, verb]"):                       "request[2]: expected subject",
		yaml(roles, few, `request: [subject, path, "header:a b"]`):               "request[2]",
		yaml(roles, few, "subject: {from: header}"):                              "subject.header: is required",
		yaml(roles, few, "subject: {from: metadata, key: x}"):                    "subject.namespace",
		yaml(roles, few, "subject: {from: consumer, header: x}"):                 "subject.header: is for",
		yaml(roles, few, "modelFile: x"):                                         "model and modelFile are mutually exclusive",
		yaml(roles, "p, alice, /", ""):                                           "policy:1: a rule p has 3 values after its name, and this one 2",
		yaml(roles, "p, a, /, GET\nq, alice, /, GET", ""):                        "policy:2: a rule begins with",
		yaml(roles, "p, a, /, GET\n\n# x\ng, alice, b, c", ""):                   "policy:4: a rule g has 2",
		yaml(roles, `p, a, "/, GET`, ""):                                         "policy:1",
		yaml(strings.Replace(roles, "keyMatch2", "keyMatsch", 1), "p,a,b,c", ""): "keyMatsch",
		yaml(strings.Replace(roles, "r.obj", "r.object", 1), few, ""):            "r.object is neither a value",
		yaml(strings.Replace(roles, "some(where", "none(where", 1), few, ""):     "policy_effect",
		yaml(strings.Replace(roles, "m = g", "m = (((g", 1), few, ""):            "matchers",
		"modelFile: /not/there\npolicy: x":                                       "/not/there",
	} {
		t.Run(fmt.Sprintf("%.40q", config), func(t *testing.T) {
			if got := authztest.Refused(t, "casbin", config); !strings.Contains(got, want) {
				t.Errorf(`%s: authztest.Refused("casbin", config) = %q, want it to contain %q`, config, got, want)
			}
		})
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	model, policy := filepath.Join(dir, "model.conf"), filepath.Join(dir, "policy.csv")
	authztest.Replace(t, model, roles)
	authztest.Replace(t, policy, few)
	h := authztest.Load(t, consumer("bob"), "casbin", "modelFile: "+model+"\npolicyFile: "+policy+"\npoll: 10ms")
	status := func(path string, want int) func() bool {
		return func() bool { return h.Get(path).Status == want }
	}
	if !status("/articles/1", 200)() || !status("/drafts/1", 403)() {
		t.Fatal("the files do not hold")
	}
	authztest.Replace(t, policy, few+"p, reader, /drafts/:id, GET\n")
	authztest.Until(t, "the new rule holds", status("/drafts/1", 200))
	authztest.Replace(t, policy, "p, reader")
	authztest.Until(t, "it is said why", func() bool { return strings.Contains(h.Log(), "policy.csv:1: a rule p has 3") })
	authztest.Replace(t, model, "[broken")
	authztest.Until(t, "it is said why", func() bool { return strings.Contains(h.Log(), "model.conf") })
	if !status("/drafts/1", 200)() {
		t.Error("broken files change what holds")
	}
	authztest.Replace(t, model, roles)
	authztest.Replace(t, policy, "")
	authztest.Until(t, "nothing is allowed", status("/articles/1", 403))
}

func big(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "p, user%d, /path%d, GET\n", i, i)
	}
	return b.String()
}

// With many rules the decision is made beside Envoy's thread, with the same result.
func TestMany(t *testing.T) {
	h := authztest.Load(t, consumer("user500"), "casbin", yaml(roles, big(1000), ""))
	for path, want := range map[string]int{"/path500": 200, "/path501": 403} {
		t.Run(path, func(t *testing.T) {
			if r := h.Get(path); r.Status != want {
				t.Errorf("%s: r.Status = %d, want %d: %q", path, r.Status, want, h.Log())
			}
		})
	}
	if r := h.Get("/a/../path500"); r.Status != 400 {
		t.Errorf("r.Status = %d, want 400", r.Status)
	}
}

// Clients that choose their subject cannot fill the memory with what Casbin remembers of it.
func TestMemory(t *testing.T) {
	h := authztest.Load(t, nil, "casbin", yaml(roles, few, "subject: {from: header, header: x-user}"))
	ask := func(n int) uint64 {
		for i := range 300 {
			h.Get("/", "x-user", fmt.Sprint(n, i, strings.Repeat("x", 16<<10)))
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := ask(1)
	// Remembered, it would be 300 * 5 * 2 roles * 16 KiB = 48 MiB.
	var after uint64
	for n := range 5 {
		after = ask(n + 2)
	}
	if after > before+24<<20 {
		t.Errorf("%d KiB became %d", before>>10, after>>10)
	}
}

func TestParallel(t *testing.T) {
	h := authztest.Load(t, nil, "casbin", yaml(roles, few, "subject: {from: header, header: x-user}"))
	var wg sync.WaitGroup
	want := map[string]int{"alice": 200, "bob": 403, "carol": 403, "mallory": 403}
	got := map[string]map[int]int{} // who, status, how often
	for who := range want {
		statuses := map[int]int{}
		got[who] = statuses
		wg.Go(func() {
			for range 100 {
				statuses[h.Get("/x", "x-user", who).Status]++
			}
		})
	}
	wg.Wait()
	for who, status := range want {
		t.Run(who, func(t *testing.T) {
			if diff := cmp.Diff(map[int]int{status: 100}, got[who]); diff != "" {
				t.Errorf("statuses (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add(roles, few)
	f.Add(withDeny, "p, a, b, c, allow")
	f.Fuzz(func(_ *testing.T, model, text string) {
		if p, err := compile("model", model, 3); err == nil {
			if p, err = p.with("policy", text); err == nil {
				_, _ = p.enforcer.Enforce("alice", "/articles/1", "GET")
			}
		}
	})
}

func BenchmarkCasbin(b *testing.B) {
	for name, policy := range map[string]string{"5 rules": few, "100 rules": "p, admin, /*, *\ng, alice, admin\n" + big(98)} {
		b.Run(name, func(b *testing.B) {
			p := &Casbin{Model: roles, Policy: policy, Subject: authz.Subject{From: "header", Header: "x-user"}}
			filtertest.New(b, p)
			plugintest.BenchRequest(b, func(s filter.Stream, h filter.RequestHeaders) {
				r, err := p.Path.Request(s, h)
				if err != nil || !p.ask(p.policy.Load(), &r).Allowed {
					b.Fatal("denied")
				}
			}, "x-user", "alice")
		})
	}
}
