package istio

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestClosure makes random scopes and random proxies: of all scopes of the closure that a proxy is in, one must be inside
// of all others, and around must find exactly those that hold a scope.
func TestClosure(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func() scope {
		s := scope{traffic: []traffic{gateway, inbound}[r.IntN(2)], labels: map[string]string{}}
		if r.IntN(3) > 0 {
			s.ns = fmt.Sprint("ns", r.IntN(2))
		}
		if r.IntN(4) == 0 {
			s.port = 80 + uint32(r.IntN(2))
		}
		for k := range 3 {
			if r.IntN(2) == 0 {
				s.labels[fmt.Sprint("k", k)] = fmt.Sprint(r.IntN(2))
			}
		}
		return s
	}
	for range 300 {
		var given []scope
		for range 1 + r.IntN(8) {
			given = append(given, random())
		}
		c, ok := closure(given, nil)
		if !ok {
			t.Fatal("too many")
		}
		all := c.sorted()
		for range 20 {
			p := random()
			p.ns, p.port = "ns0", 80
			var in []scope
			for _, s := range all {
				if s.holds(p) {
					in = append(in, s)
				}
			}
			if len(in) > 0 && !innermost(in) {
				t.Fatalf("%v of %v has no innermost scope in %v", p, given, in)
			}
		}
		for _, s := range all {
			found := map[string]bool{}
			for _, o := range c.around(s) {
				found[o.key()] = true
			}
			for _, o := range all {
				if o.holds(s) != found[o.key()] {
					t.Fatalf("around %v: %v: %v", s, o, found[o.key()])
				}
			}
		}
	}
}

// TestClosureBounds: selectors that overlap in every way are refused before they fill the memory.
func TestClosureBounds(t *testing.T) {
	var given []scope
	for i := range 30 { // 2^30 ways
		given = append(given, scope{traffic: gateway, labels: map[string]string{fmt.Sprint("k", i): "v"}})
	}
	if _, ok := closure(given, nil); ok {
		t.Error("2^30 scopes are fine")
	}
	// A thousand selectors with the same label and other values have nothing in common.
	given = nil
	for i := range 1000 {
		given = append(given, scope{traffic: gateway, labels: map[string]string{"app": fmt.Sprint(i)}})
	}
	if c, ok := closure(given, nil); !ok || len(c.byKey) != 1000 {
		t.Errorf("%v, %d", ok, len(c.byKey))
	}
}

// TestUnified holds the diff against what it must give: applied to one text, the other.
func TestUnified(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		var a, b []string
		for range r.IntN(12) {
			a = append(a, fmt.Sprint(r.IntN(4)))
		}
		for range r.IntN(12) {
			b = append(b, fmt.Sprint(r.IntN(4)))
		}
		var gotA, gotB []string
		for _, o := range compareLines(a, b) {
			if o.kind != '+' {
				gotA = append(gotA, o.line)
			}
			if o.kind != '-' {
				gotB = append(gotB, o.line)
			}
		}
		if fmt.Sprint(gotA) != fmt.Sprint(a) || fmt.Sprint(gotB) != fmt.Sprint(b) {
			t.Fatalf("%v to %v: %v, %v", a, b, gotA, gotB)
		}
	}
	if got, want := unified("a", "b", "1\n2\n3\n4\n5\n6\n", "1\n2\n3\n4\nx\n6\n"),
		"--- a\n+++ b\n@@ -2,5 +2,5 @@\n 2\n 3\n 4\n-5\n+x\n 6\n"; got != want {
		t.Errorf("%q", got)
	}
}

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
		t.Fatal(err)
	}
	_, err = Generate(in, Options{})
	var es Errors
	if !errors.As(err, &es) || len(es) != 14 || !strings.Contains(es[0].Error(), "in.yaml:6: spec.selector.matchLabels: ") {
		t.Errorf("%v", err)
	}
}
