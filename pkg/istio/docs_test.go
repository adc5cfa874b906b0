package istio

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/internal/policy"
)

// limit stands for the example plugin that the guide builds in.
type limit struct {
	Rate  float64 `json:"rate"`
	Burst float64 `json:"burst"`
}

func (*limit) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	return filter.Continue
}

func init() { filter.Register[limit]("limitreq", filter.Traffic) }

// TestGuide holds the EnvoyFilters of the guide against what its policies come to.
func TestGuide(t *testing.T) {
	in, err := Load(nil, "../../docs/istio/shop.yaml", "../../docs/istio/policies.yaml")
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	r, err := Generate(in, Options{})
	if err != nil {
		t.Fatalf("Generate: %v", err)
	}
	text, err := r.YAML()
	if err != nil {
		t.Fatalf("r.YAML: %v", err)
	}
	golden(t, "../../docs/istio/envoyfilters.yaml", text)
	valid(t, text)
}

var yamlFence = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```")

// TestPoliciesOfDocs reads the policies that documents show.
func TestPoliciesOfDocs(t *testing.T) {
	files, err := filepath.Glob("../../docs/istio*.md")
	if err != nil {
		t.Fatalf("filepath.Glob: %v", err)
	}
	found := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("os.ReadFile: %v", err)
		}
		for _, m := range yamlFence.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(m[1], "kind: FilterPolicy") {
				continue
			}
			found++
			in, err := Parse(file, []byte(m[1]))
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			var p manifest.Problems
			policy.Read(in.Objects()[0], "default", &p)
			if err := p.Err(); err != nil {
				t.Errorf("p.Err: %v", err)
			}
		}
	}
	if found == 0 {
		t.Error("no document shows a policy")
	}
}
