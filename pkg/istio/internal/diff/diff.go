package diff

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	clientv1alpha3 "istio.io/client-go/pkg/apis/networking/v1alpha3"
	"sigs.k8s.io/yaml"

	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/internal/render"
)

// Change is how one EnvoyFilter differs from what is applied.
type Change struct {
	Namespace, Name string
	Kind            ChangeKind
	Text            string // a unified diff of both as YAML
}

// ChangeKind tells what has to happen.
type ChangeKind string

// The kinds of changes.
const (
	Added   ChangeKind = "added"
	Changed ChangeKind = "changed"
	Removed ChangeKind = "removed" // by kubectl apply --prune
)

// EnvoyFilters compares EnvoyFilters with EnvoyFilters that are applied: those of the input with the label of MoE; others are not
// looked at. It returns what differs, by namespace and name. What Kubernetes adds to an object makes no difference.
func EnvoyFilters(filters []*clientv1alpha3.EnvoyFilter, applied *manifest.Input) ([]Change, error) {
	old, now := map[string]string{}, map[string]string{}
	for _, o := range applied.Objects() {
		if o.Kind() != "EnvoyFilter" || manifest.Dig(o.Data, "metadata", "labels", render.ManagedByLabel) != render.ManagedBy {
			continue
		}
		text, err := yaml.Marshal(map[string]any{
			"apiVersion": o.APIVersion(), "kind": o.Kind(), "spec": o.Data["spec"],
			"metadata": map[string]any{
				"name": o.Name(), "namespace": o.Namespace(), "labels": manifest.Dig(o.Data, "metadata", "labels"),
				"annotations": map[string]any{render.PoliciesAnnotation: manifest.Dig(o.Data, "metadata", "annotations", render.PoliciesAnnotation)},
			},
		})
		if err != nil {
			return nil, err
		}
		old[o.Namespace()+"/"+o.Name()] = string(text)
	}
	for _, ef := range filters {
		text, err := render.JSON(ef)
		if err == nil {
			text, err = yaml.JSONToYAML(text)
		}
		if err != nil {
			return nil, err
		}
		now[ef.Namespace+"/"+ef.Name] = string(text)
	}
	all := maps.Clone(old)
	maps.Copy(all, now)
	var changes []Change
	for _, key := range slices.Sorted(maps.Keys(all)) {
		was, applied := old[key]
		is, wanted := now[key]
		if was == is {
			continue
		}
		c := Change{Kind: Changed}
		c.Namespace, c.Name, _ = strings.Cut(key, "/")
		switch {
		case !applied:
			c.Kind = Added
		case !wanted:
			c.Kind = Removed
		}
		c.Text = Unified("applied/"+key, "generated/"+key, was, is)
		changes = append(changes, c)
	}
	return changes, nil
}

// Unified returns a unified diff of two texts, with three lines around each change.
func Unified(nameA, nameB, textA, textB string) string {
	a, b := lines(textA), lines(textB)
	ops := compareLines(a, b)
	var out bytes.Buffer
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", nameA, nameB)
	const around = 3
	for i := 0; i < len(ops); {
		if ops[i].kind == ' ' {
			i++
			continue
		}
		from := max(0, i-around)
		to, quiet := i, 0
		for to < len(ops) && quiet <= 2*around {
			if quiet++; ops[to].kind != ' ' {
				quiet = 0
			}
			to++
		}
		to -= max(0, quiet-around)
		countA, countB := 0, 0
		for _, o := range ops[from:to] {
			if o.kind != '+' {
				countA++
			}
			if o.kind != '-' {
				countB++
			}
		}
		fmt.Fprintf(&out, "@@ -%d,%d +%d,%d @@\n", ops[from].a+1, countA, ops[from].b+1, countB)
		for _, o := range ops[from:to] {
			fmt.Fprintf(&out, "%c%s\n", o.kind, o.line)
		}
		i = to
	}
	return out.String()
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}

type lineOp struct {
	kind byte // ' ', '-' or '+'
	line string
	a, b int // how many lines of each came before
}

// compareLines finds a shortest list of changes by Myers' algorithm, between what both texts begin and end with alike.
// Texts with very many changes are taken for wholly different.
func compareLines(a, b []string) (ops []lineOp) {
	start := 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		start++
	}
	end := 0
	for end < len(a)-start && end < len(b)-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	x, y := 0, 0
	emit := func(kind byte) {
		o := lineOp{kind: kind, a: x, b: y}
		if kind != '+' {
			o.line = a[x]
			x++
		}
		if kind != '-' {
			o.line = b[y]
			y++
		}
		ops = append(ops, o)
	}
	for range start {
		emit(' ')
	}
	for _, kind := range myers(a[start:len(a)-end], b[start:len(b)-end]) {
		emit(kind)
	}
	for range end {
		emit(' ')
	}
	return ops
}

func myers(a, b []string) (kinds []byte) {
	const most = 2000 // of changes; the memory for the way back grows with their square
	n, m := len(a), len(b)
	limit := min(n+m, most)
	at := make([]int, 2*limit+2)
	var trace [][]int
	for d := 0; d <= limit; d++ {
		trace = append(trace, append([]int(nil), at...))
		for k := -d; k <= d; k += 2 {
			var x int
			if k == -d || k != d && at[limit+k-1] < at[limit+k+1] {
				x = at[limit+k+1]
			} else {
				x = at[limit+k-1] + 1
			}
			for x < n && x-k < m && a[x] == b[x-k] {
				x++
			}
			at[limit+k] = x
			if x >= n && x-k >= m {
				return back(trace, limit, n, m)
			}
		}
	}
	for range a {
		kinds = append(kinds, '-')
	}
	for range b {
		kinds = append(kinds, '+')
	}
	return kinds
}

func back(trace [][]int, limit, x, y int) (kinds []byte) {
	for d := len(trace) - 1; d >= 0; d-- {
		at, k := trace[d], x-y
		prev := k - 1
		if k == -d || k != d && at[limit+k-1] < at[limit+k+1] {
			prev = k + 1
		}
		px := at[limit+prev]
		py := px - prev
		for x > px && y > py && x > 0 && y > 0 && (d > 0 || x > 0) {
			kinds = append(kinds, ' ')
			x, y = x-1, y-1
		}
		if d == 0 {
			break
		}
		if x == px {
			kinds = append(kinds, '+')
			y--
		} else {
			kinds = append(kinds, '-')
			x--
		}
	}
	slices.Reverse(kinds)
	return kinds
}
