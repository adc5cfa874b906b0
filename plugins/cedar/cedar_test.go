package cedar

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/authztest"
	"mosn.io/moe/plugins/internal/plugintest"
)

var alice = &filter.Consumer{
	Name: "alice", Groups: []string{"editors"}, Labels: map[string]string{"plan": "gold"},
	Attributes: map[string]any{"limit": 10, "rate": 1.5, "regions": []any{"eu", "us"}, "none": nil},
}

func yaml(policies, more string) string {
	return "policies: |\n  " + strings.ReplaceAll(policies, "\n", "\n  ") + "\n" + more
}

func TestPolicies(t *testing.T) {
	const meta = `
metadata: [{namespace: jwt, key: sub}, {namespace: jwt, key: level}, {namespace: jwt, key: none}]`
	for _, c := range []struct {
		when   string
		status int
	}{
		{`true`, 200},
		{`false`, 403},
		{`principal == User::"alice"`, 200},
		{`principal in Group::"editors"`, 200},
		{`principal in Group::"admins"`, 403},
		{`principal in Group::"all"`, 200}, // an entity of the configuration says so of the group
		{`principal.name == "alice" && principal.labels.plan == "gold"`, 200},
		{`principal.attributes.limit > 9 && principal.attributes.regions.contains("eu")`, 200},
		{`principal.attributes.rate.lessThan(decimal("2.0")) && !(principal.attributes has none)`, 200},
		{`principal.labels.missing == "x"`, 403},
		{`action == Action::"POST"`, 200},
		{`action in Action::"write"`, 200},
		{`action in [Action::"GET", Action::"HEAD"]`, 403},
		{`resource == Path::"/a/b"`, 200},
		{`resource in Path::"/a"`, 200},
		{`resource in Path::"/"`, 200},
		{`resource in Path::"/b"`, 403},
		{`resource in Path::"/a/b/"`, 403},
		{`resource.public`, 403},
		{`Path::"/listed".public`, 200},
		{`context.method == "POST" && context.path like "/a/*" && context.host == "example.com" && context.scheme == "http"`, 200},
		{`context.source.isInRange(ip("10.0.0.0/8"))`, 200},
		{`context.headers["x-tenant"] == "t1" && !(context.headers has "x-none")`, 200},
		{`context.headers["x-none"] == "t1"`, 403},
		{`context.query.id.contains("1") && context.query.id.contains("2")`, 200},
		{`context.time > datetime("2020-01-01")`, 200},
		{`context.metadata.jwt.sub == "anna" && context.metadata.jwt.level == 3`, 200},
		{`context.metadata.jwt has none`, 403},
	} {
		t.Run(fmt.Sprintf("%.40q", c.when), func(t *testing.T) {
			entities := `
entities:
- {uid: {type: Group, id: editors}, parents: [{type: Group, id: all}], attrs: {}}
- {uid: {type: Group, id: all}, parents: [], attrs: {}}
- {uid: {type: Action, id: POST}, parents: [{type: Action, id: write}], attrs: {}}
- {uid: {type: Path, id: /listed}, parents: [], attrs: {public: true}}
`
			h := authztest.Load(t, alice, "cedar", yaml("permit (principal, action, resource) when { "+c.when+" };", entities+meta))
			h.Metadata = map[string]any{"jwt/sub": "anna", "jwt/level": 3.0}
			if r := h.Do(filtertest.NewRequest("POST", "/a/b?id=1&id=2", "x", "x-tenant", "t1")); r.Status != c.status {
				t.Errorf("%s: r.Status = %d, want %d\n%s", c.when, r.Status, c.status, h.Log())
			}
		})
	}
}

func TestForbid(t *testing.T) {
	const policies = `
permit (principal, action, resource);
@id("no-drafts")
forbid (principal, action, resource in Path::"/drafts") unless { principal in Group::"editors" };
`
	h := authztest.Load(t, &filter.Consumer{Name: "bob"}, "cedar", yaml(policies, ""))
	r := h.Get("/drafts/1?token=geheim")
	if r.Status != 403 || r.Metadata["moe.cedar/reason"] != "forbidden by no-drafts" || strings.Contains(h.Log(), "geheim") {
		t.Errorf("got %d and %v, want 403, forbidden by no-drafts, and no query in the log:\n%s", r.Status, r.Metadata, h.Log())
	}
	if r := h.Get("/draftsman"); r.Status != 200 {
		t.Errorf("r.Status = %d, want 200", r.Status)
	}
	if r := authztest.Load(t, alice, "cedar", yaml(policies, "")).Get("/drafts/1"); r.Status != 200 {
		t.Errorf("r.Status = %d, want 200", r.Status)
	}
	// Cedar leaves out a policy that fails. One that forbids must not be left out.
	broken := policies + `forbid (principal, action, resource) when { context.headers["x-flag"] == "geheim" };`
	h = authztest.Load(t, alice, "cedar", yaml(broken, "errorStatus: 500"))
	if r := h.Get("/"); r.Status != 500 || !strings.Contains(h.Log(), "policies:5, which may forbid") {
		t.Errorf("r.Status = %d, want 500; h.Log() = %q, want it to contain %q",
			r.Status, h.Log(), "policies:5, which may forbid")
	}
	if r := h.Get("/", "x-flag", "1"); r.Status != 200 {
		t.Errorf("r.Status = %d, want 200", r.Status)
	}
	h = authztest.Load(t, alice, "cedar", yaml(`permit (principal, action, resource) when { principal.x };`, "failOpen: true"))
	if r := h.Get("/"); r.Status != 403 || !strings.Contains(h.Log(), "these policies fail: policies:1") {
		t.Errorf("r.Status = %d, want 403; h.Log() = %q, want it to contain %q",
			r.Status, h.Log(), "these policies fail: policies:1")
	}
	h = authztest.Load(t, alice, "cedar", yaml(`forbid (principal, action, resource);`, "shadow: true"))
	if r := h.Get("/"); r.Status != 200 || h.Metric("shadow_denied") != 1 {
		t.Errorf(`r.Status = %d, want 200; h.Metric("shadow_denied") = %d, want 1`, r.Status, h.Metric("shadow_denied"))
	}
}

func TestSubjects(t *testing.T) {
	const policies = `permit (principal == App::User::"alice", action, resource);`
	for _, c := range []struct {
		more   string
		header []string
		status int
	}{
		{"", nil, 403},
		{"subject: {from: header, header: x-user}", []string{"x-user", "alice"}, 200},
		{"subject: {from: header, header: x-user}", []string{"x-user", `alice"`}, 403},
		{"subject: {from: header, header: x-user}", []string{"x-user", "alice", "x-user", "alice"}, 403},
		{"subject: {from: header, header: x-user}", []string{"x-user", "\xff"}, 403},
		{"subject: {from: header, header: x-user, default: alice}", nil, 200},
	} {
		t.Run(fmt.Sprintf("%s %.40q", c.more, c.header), func(t *testing.T) {
			h := authztest.Load(t, nil, "cedar", yaml(policies, "principalType: App::User\n"+c.more))
			if r := h.Get("/", c.header...); r.Status != c.status {
				t.Errorf("%s, %q: r.Status = %d, want %d", c.more, c.header, r.Status, c.status)
			}
		})
	}
	// The groups of a consumer are not those of another subject.
	h := authztest.Load(t, alice, "cedar", yaml(`permit (principal in Group::"editors", action, resource);`,
		"subject: {from: header, header: x-user}"))
	if r := h.Get("/", "x-user", "mallory"); r.Status != 403 {
		t.Errorf("r.Status = %d, want 403", r.Status)
	}
}

func TestPaths(t *testing.T) {
	authztest.Paths(t,
		authztest.Load(t, alice, "cedar", yaml(`permit (principal, action, resource) unless { resource in Path::"/admin" };`, "")),
		authztest.Load(t, alice, "cedar", yaml(`permit (principal, action, resource in Path::"/public");`, "")))
	h := authztest.Load(t, alice, "cedar", yaml(`permit (principal, action, resource);`, ""))
	for path, want := range map[string]int{
		"/" + strings.Repeat("a/", maxSegments-1): 200, strings.Repeat("/a", 30_000): 403,
	} {
		t.Run(fmt.Sprintf("%.40q", path), func(t *testing.T) {
			if r := h.Get(path); r.Status != want {
				t.Errorf("%.20s: r.Status = %d, want %d", path, r.Status, want)
			}
		})
	}
	h = authztest.Load(t, alice, "cedar", yaml(`permit (principal, action, resource) unless { context.query has x };`, ""))
	if r := h.Get("/?" + strings.Repeat("a=b&", 30_000)); r.Status != 403 {
		t.Errorf("r.Status = %d, want 403", r.Status)
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.cedar")
	authztest.Replace(t, broken, "permit (principal, action, resource);\npermit (x);\n")
	const ok = `permit (principal, action, resource);`
	for config, want := range map[string]string{
		`{}`:                                        "policies: is required",
		yaml("permit (principal, action);", ""):     "policies",
		yaml(ok+"\nallow (principal);", ""):         "policies: parser error: parse error at <input>:2",
		yaml(ok, "principalType: 'a b'"):            "principalType: expected the name",
		yaml(ok, "actionType: 'a::'"):               "actionType",
		yaml(ok, "entities: [{uid: x}]"):            "entities",
		yaml(ok, "entities: [1]"):                   "entities",
		yaml(ok, "subject: {from: header}"):         "subject.header",
		yaml("@id(\"a\")"+ok+"\n@id(\"a\")"+ok, ""): "two policies have the id a",
		"policyFiles: [/not/there]":                 "/not/there",
		"policyFiles: [" + broken + "]":             "broken.cedar: parser error: parse error at <input>:2",
		yaml(ok, "entities: [{uid: {type: A, id: b}, parents: [], attrs: {}}, {uid: {type: A, id: b}, parents: [], attrs: {}}]"): "duplicate",
	} {
		t.Run(fmt.Sprintf("%.40q", config), func(t *testing.T) {
			if got := authztest.Refused(t, "cedar", config); !strings.Contains(got, want) {
				t.Errorf(`%s: authztest.Refused("cedar", config) = %q, want it to contain %q`, config, got, want)
			}
		})
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "policies"), 0o700); err != nil {
		t.Fatalf("os.Mkdir: %v", err)
	}
	policy, entities := filepath.Join(dir, "policies", "a.cedar"), filepath.Join(dir, "entities.json")
	authztest.Replace(t, policy, `permit (principal in Group::"x", action, resource);`)
	authztest.Replace(t, entities, `[]`)
	h := authztest.Load(t, alice, "cedar", fmt.Sprintf("policyFiles: [%s]\nentityFiles: [%s]\npoll: 10ms", filepath.Dir(policy), entities))
	status := func(want int) func() bool { return func() bool { return h.Get("/").Status == want } }
	if !status(403)() {
		t.Fatal("the files do not hold")
	}
	authztest.Replace(t, entities, `[{"uid": {"type": "Group", "id": "editors"}, "parents": [{"type": "Group", "id": "x"}], "attrs": {}}]`)
	authztest.Until(t, "the entities hold", status(200))
	authztest.Replace(t, policy, "permit (")
	authztest.Until(t, "it is said why", func() bool { return strings.Contains(h.Log(), "a.cedar") })
	authztest.Replace(t, entities, `{`)
	authztest.Until(t, "it is said why", func() bool { return h.Metric("reload_failed") > 1 })
	if !status(200)() {
		t.Error("broken files change what holds")
	}
	if err := os.Remove(policy); err != nil {
		t.Fatalf("os.Remove: %v", err)
	}
	authztest.Replace(t, entities, `[]`)
	authztest.Until(t, "nothing is permitted", status(403))
}

func TestMany(t *testing.T) {
	var b strings.Builder
	for i := range many * 3 {
		fmt.Fprintf(&b, "permit (principal, action, resource == Path::\"/p%d\");\n", i)
	}
	h := authztest.Load(t, alice, "cedar", yaml(b.String(), ""))
	for path, want := range map[string]int{"/p299": 200, "/p300": 403} {
		t.Run(path, func(t *testing.T) {
			if r := h.Get(path); r.Status != want {
				t.Errorf("%s: r.Status = %d, want %d: %q", path, r.Status, want, h.Log())
			}
		})
	}
}

func FuzzPolicies(f *testing.F) {
	f.Add(`permit (principal, action, resource) when { context.headers["a"] like "b*" };`, `[]`)
	f.Fuzz(func(_ *testing.T, policies, entities string) {
		r := &rules{}
		if p, err := (&Cedar{Policies: policies}).parse(nil); err == nil {
			r = p
			_ = r.addEntities("entities", []byte(entities))
		}
	})
}

func BenchmarkCedar(b *testing.B) {
	for name, policies := range map[string]string{
		"one": `permit (principal, action == Action::"GET", resource in Path::"/a");`,
		"headers": `permit (principal, action == Action::"GET", resource in Path::"/a")
			when { context.headers has "x-request-id" };`,
	} {
		b.Run(name, func(b *testing.B) {
			p := &Cedar{Policies: policies, Subject: authz.Subject{From: "header", Header: "x-user"}}
			filtertest.New(b, p)
			plugintest.BenchRequest(b, func(s filter.Stream, h filter.RequestHeaders) {
				if p.OnRequestHeaders(s, h, true) != filter.Continue {
					b.Fatal("denied")
				}
			}, "x-user", "alice")
		})
	}
}
