package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mosn.io/moe/internal/build"
	"mosn.io/moe/internal/moefile"
)

// What moe new writes as a moe.yaml is one, whatever the kind.
func TestNewFiles(t *testing.T) {
	for _, kind := range build.Kinds {
		t.Run(kind, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "mine")
			if code, _, stderr := moe(t, "new", "mine", "--kind", kind, "--dir", dir); code != 0 {
				t.Fatalf("moe new ends with %d:\n%s", code, stderr)
			}
			text, err := os.ReadFile(filepath.Join(dir, "moe.yaml"))
			if err != nil {
				t.Fatalf("os.ReadFile: %v", err)
			}
			if _, err := moefile.Parse(text, moefile.CheckFile, moefile.Dynmod); err != nil {
				t.Errorf("moefile.Parse: %v\n%s", err, text)
			}
		})
	}
}

// moe schema knows extensions of all kinds, and which of two with one name is meant.
func TestSchemaOfKinds(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []string
		has    string // a property
		lacks  string // another
		failed string
	}{
		{name: "a network filter", args: []string{"redisguard"}, has: "maxArguments"},
		{name: "a listener filter", args: []string{"proxyprotocol", "--kind", "listener"}, has: "trusted"},
		{name: "a certificate validator", args: []string{"spiffe"}, has: "trustDomains"},
		{name: "a plugin with the name of an access logger", args: []string{"accesslog"}, lacks: "metadata"},
		{name: "an access logger with the name of a plugin", args: []string{"accesslog", "--kind", "accesslog"}, has: "metadata"},
		{name: "of another kind", args: []string{"redisguard", "--kind", "listener"}, failed: `no listener is called "redisguard"`},
		{name: "nothing", args: []string{"nothing"}, failed: "nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := moe(t, append([]string{"schema"}, c.args...)...)
			if c.failed != "" {
				if code == 0 || !strings.Contains(stderr, c.failed) {
					t.Errorf("moe schema ends with %d:\n%s", code, stderr)
				}
				return
			}
			var s struct{ Properties map[string]any }
			if err := json.Unmarshal([]byte(stdout), &s); err != nil {
				t.Fatalf("json.Unmarshal: %v\n%s", err, stderr)
			}
			if c.has != "" && s.Properties[c.has] == nil || c.lacks != "" && s.Properties[c.lacks] != nil {
				t.Errorf("the properties are %v", s.Properties)
			}
		})
	}
}
