package istio

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestManySelectors measures what selectors of different labels come to: one EnvoyFilter for each of their combinations,
// but only those that there are, if the workloads are given; and an error before it is too many.
func TestManySelectors(t *testing.T) {
	make := func(n int, pods bool) string {
		text := ""
		for i := range n {
			text += "---\n" + policyText(fmt.Sprint("p", i), fmt.Sprintf("selector: {matchLabels: {k%d: v}}\ntraffic: [inbound]\n%s", i, hello))
			if pods {
				text += fmt.Sprintf("---\napiVersion: v1\nkind: Pod\nmetadata: {name: p%d, namespace: shop, labels: {k%d: v, %s: v}}\n", i, i,
					map[bool]string{true: "k0", false: "other"}[i > 0])
			}
		}
		return text
	}
	if n := len(generate(t, make(6, false)).EnvoyFilters); n != 63 {
		t.Errorf("6 selectors: %d", n)
	}
	if n := len(generate(t, make(14, true)).EnvoyFilters); n != 27 { // 14, and 13 with k0
		t.Errorf("14 selectors with known workloads: %d", n)
	}
	in, err := Parse("in.yaml", []byte(make(14, false)))
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	_, err = Generate(in, Options{})
	var es Errors
	if !errors.As(err, &es) || len(es) != 14 || !strings.Contains(es[0].Error(), "in.yaml:6:14: spec.selector.matchLabels: ") {
		t.Errorf("Generate(in, Options{}): got error %v, want a %T; got %d of es, want 14: %v; got %v, want one with %q",
			err, es, len(es), es, es, "in.yaml:6:14: spec.selector.matchLabels: ")
	}
}
