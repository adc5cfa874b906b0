package bootstrap

import (
	"slices"
	"strings"

	"mosn.io/moe/framework/document"
)

// Part is a filter with the plugins of some stages, as there are several where Envoy's own filters stand between plugins.
type Part struct {
	Name   string   // of the filter
	Stages []string // nil: all of them
}

// Boundary is where a filter of Envoy's own stands: behind the plugins of that many stages.
func (p *Placement) Boundary() int {
	switch at := slices.Index(document.Stages, p.Stage); {
	case at >= 0 && p.Position == behind:
		return at + 1
	case at >= 0:
		return at
	case p.Position == behind:
		return len(document.Stages)
	}
	return 0
}

// Divides reports whether a filter of Envoy's own stands between plugins, and not before or after all of them.
func (p *Placement) Divides() bool {
	at := p.Boundary()
	return at > 0 && at < len(document.Stages)
}

// Divide returns the filters among which filters of Envoy's own at these places divide the plugins, in order. Each name
// begins with the one given and says which stages the filter runs: connections of a listener that drains have its filters,
// and take over whatever configuration comes under their names.
func Divide(name string, places []Placement) []Part {
	cuts := []int{0}
	for i := range places {
		if places[i].Divides() {
			cuts = append(cuts, places[i].Boundary())
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	if len(cuts) == 1 {
		return []Part{{Name: name}}
	}
	parts := make([]Part, len(cuts))
	for i, from := range cuts {
		to := len(document.Stages)
		if i+1 < len(cuts) {
			to = cuts[i+1]
		}
		parts[i] = Part{Name: name + "-" + document.Stages[from], Stages: document.Stages[from:to]}
		if to-from > 1 {
			parts[i].Name += "-" + document.Stages[to-1]
		}
	}
	return parts
}

// First returns how many stages are before those of p.
func (p *Part) First() int {
	if p.Stages == nil {
		return 0
	}
	return slices.Index(document.Stages, p.Stages[0])
}

// Of returns the document of a filter with the plugins of p.
func (p *Part) Of(doc map[string]any) map[string]any {
	if p.Stages == nil {
		return doc
	}
	return document.WithStages(doc, p.Stages)
}

// String returns the stages as [host.ExtProcStagesKey] has them.
func (p *Part) String() string { return strings.Join(p.Stages, ",") }

// division is what names of routes end in where parts share the plugins: connections of a listener that drains keep the
// routes that configure its filters.
func (o *Options) division() (suffix string) {
	parts := o.parts()
	for i := 1; i < len(parts); i++ {
		suffix += "/" + parts[i].Stages[0]
	}
	return suffix
}

func (o *Options) parts() []Part {
	if o.Filter == nil && o.ExtProc == nil {
		return nil
	}
	places := make([]Placement, len(o.EnvoyFilters))
	for i := range o.EnvoyFilters {
		places[i] = o.EnvoyFilters[i].Placement
	}
	return Divide(Name, places)
}
