package cedar

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mosn.io/moe/plugins/internal/authztest"
)

const shop = `
entity Group;
entity User in [Group] { name?: String, labels?: { plan?: String } };
entity Path in [Path];
action GET, POST appliesTo { principal: User, resource: Path, context: { method: String, headers: { "x-tenant"?: String } } };
`

func indented(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") }

// TestSchema: policies and entities that do not keep to the schema are refused, and what keeps to it decides as without.
func TestSchema(t *testing.T) {
	const json = `{"": {"entityTypes": {"User": {}, "Path": {"memberOfTypes": ["Path"]}}, "actions": {"GET": {"appliesTo": {"principalTypes": ["User"], "resourceTypes": ["Path"]}}}}}`
	for _, c := range []struct {
		name, policy, schema, more string
		want                       string // of the error; "": none
	}{
		{name: "good", schema: shop, policy: `permit (principal, action == Action::"GET", resource in Path::"/a") when { context.headers has "x-tenant" && context.headers["x-tenant"] == "t" };`},
		{name: "as JSON", schema: json, policy: `permit (principal, action == Action::"GET", resource);`},
		{name: "misspelt attribute", schema: shop, policy: `permit (principal, action, resource) when { principal.nmae == "x" };`, want: "does not keep to the schema"},
		{name: "attribute that may be missing", schema: shop, policy: `permit (principal, action, resource) when { principal.name == "x" };`, want: "does not keep to the schema"},
		{name: "unknown action", schema: shop, policy: `permit (principal, action == Action::"GETT", resource);`, want: "does not keep to the schema"},
		{name: "unknown type", schema: shop, policy: `permit (principal == Person::"x", action, resource);`, want: "does not keep to the schema"},
		{name: "types that do not fit", schema: shop, policy: `permit (principal, action, resource) when { context.method > 1 };`, want: "does not keep to the schema"},
		{name: "an entity", schema: shop, policy: `permit (principal, action, resource);`, more: `entities: [{uid: {type: User, id: a}, attrs: {name: 1}, parents: []}]`, want: "entities"},
		{name: "bad schema", schema: `entity`, policy: `permit (principal, action, resource);`, want: "schema"},
		{name: "schema with a type that is not there", schema: `entity User in [Nobody];`, policy: `permit (principal, action, resource);`, want: "schema"},
		{name: "two", schema: shop, policy: `permit (principal, action, resource);`, more: "schemaFile: x", want: "mutually exclusive"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := yaml(c.policy, "schema: |\n  "+indented(c.schema)+"\n"+c.more)
			if c.want == "" {
				h := authztest.Load(t, alice, "cedar", text)
				if r := h.Get("/a/b", "x-tenant", "t"); r.Status != 200 {
					t.Errorf("got %d, want 200:\n%s", r.Status, h.Log())
				}
				return
			}
			if got := authztest.Refused(t, "cedar", text); !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestSchemaFile: a change of the policies that does not keep to the schema leaves those from before, and a change of the schema counts.
func TestSchemaFile(t *testing.T) {
	dir := t.TempDir()
	policy, file := filepath.Join(dir, "p.cedar"), filepath.Join(dir, "shop.cedarschema")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
	}
	write(policy, `permit (principal, action == Action::"GET", resource);`)
	write(file, shop)
	h := authztest.Load(t, alice, "cedar", "policyFiles: ["+dir+"]\nschemaFile: "+file+"\npoll: 10ms")
	if r := h.Get("/"); r.Status != 200 {
		t.Fatalf("got %d, want 200:\n%s", r.Status, h.Log())
	}
	authztest.Replace(t, policy, `forbid (principal, action == Action::"GTE", resource);`)
	authztest.Until(t, "it is refused", func() bool { return strings.Contains(h.Log(), "does not keep to the schema") })
	if r := h.Get("/"); r.Status != 200 {
		t.Errorf("after a bad change: got %d, want what was before", r.Status)
	}
	authztest.Replace(t, file, strings.Replace(shop, "action GET, POST", "action GET, POST, GTE", 1))
	authztest.Until(t, "the policy counts", func() bool { return h.Get("/").Status == 403 })
	if got := authztest.Refused(t, "cedar", "policies: 'permit (principal, action, resource);'\nschemaFile: "+dir); !strings.Contains(got, "schemaFile") {
		t.Errorf("a directory: got %q, want schemaFile", got)
	}
}
