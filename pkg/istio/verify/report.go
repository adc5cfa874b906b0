package verify

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Report is what became of the objects.
type Report struct {
	Pilot, Envoy string // what was run
	Resources    []*Resource
	Proxies      []*ProxyReport
	Placeholders []string // mounted files that the input has no Secret for

	root string // Istio's root namespace
}

// Resource is what became of one object.
type Resource struct {
	Object   Object
	Ignored  bool     // discovery does not read its kind
	Repeated bool     // an earlier object is the same
	Conflict string   // why an earlier object was tried in its place; "" if none was
	Refused  string   // why Istio refused it; "" if it did not
	Warnings []string // Istio's
	Patches  []*Patch // of an EnvoyFilter
}

// String names the object, and the policies that an EnvoyFilter was made of.
func (r *Resource) String() string {
	if from := text(dig(r.Object, "metadata", "annotations", "moe.mosn.io/policies")); from != "" {
		return r.Object.String() + ", of FilterPolicy " + from
	}
	return r.Object.String()
}

// Patch is what became of a patch of an EnvoyFilter.
type Patch struct {
	Index                       int
	ApplyTo, Operation, Context string
	Places                      []Place // where it took effect
	Withheld                    string  // why Envoy was not given it; "" if it was
	Untried                     string  // why there was nothing that it could match; "" if there was

	mark, name string
}

// Place is where a patch took effect.
type Place struct {
	Proxy Proxy
	Where string
}

// Ineffective tells that the patch matched nothing although it was meant to. One that removes what is not there has
// done its work.
func (p *Patch) Ineffective() bool {
	return len(p.Places) == 0 && p.Untried == "" && p.Operation != "REMOVE"
}

// settle tells the patches apart that had nothing to match: Envoy's bootstrap is read when a proxy starts, and one for
// gateways is idle where its EnvoyFilter selects sidecars and does its work there, or the other way round.
func (r *Report) settle() {
	for _, o := range r.Resources {
		works := slices.ContainsFunc(o.Patches, func(p *Patch) bool { return len(p.Places) > 0 })
		for _, p := range o.Patches {
			role, what := Gateway, "gateways"
			switch {
			case len(targetRefs(o.Object)) > 0 && strings.HasPrefix(p.Context, "SIDECAR_"):
				role, what = Waypoint, "waypoints"
			case strings.HasPrefix(p.Context, "SIDECAR_"):
				role, what = Sidecar, "sidecars"
			}
			alone := !slices.ContainsFunc(r.reached(o), func(x Proxy) bool { return x.Role == role })
			switch {
			case len(p.Places) > 0:
			case p.ApplyTo == "BOOTSTRAP":
				p.Untried = "it is read when a proxy starts"
			case works && alone && p.Context != "" && p.Context != "ANY":
				p.Untried = "it is for " + what + ", and the EnvoyFilter selects none"
			}
		}
	}
}

// reached returns the proxies that were tried and that an EnvoyFilter selects.
func (r *Report) reached(o *Resource) []Proxy {
	var reached []Proxy
	for _, x := range r.Proxies {
		if selects(o.Object, x.Proxy, r.root) {
			reached = append(reached, x.Proxy)
		}
	}
	return reached
}

// String tells which patch it is.
func (p *Patch) String() string {
	words := strings.Fields(p.Context + " " + p.ApplyTo + " " + p.Operation)
	return fmt.Sprintf("configPatches[%d] %s", p.Index, strings.Join(words, " "))
}

// ProxyReport is what one proxy said.
type ProxyReport struct {
	Proxy     Proxy
	Listeners int // that it serves
	Refusals  []Refusal
	Log       []string // Envoy's errors

	patches []placed
}

type placed struct {
	patch *Patch
	where string
}

// Refusal is what Envoy did not take. Name may be "" where Envoy does not tell it apart from the reason.
type Refusal struct{ Type, Name, Reason string }

func (r *Report) addPlaceholders(paths []string) {
	for _, p := range paths {
		if !slices.Contains(r.Placeholders, p) {
			r.Placeholders = append(r.Placeholders, p)
		}
	}
}

func (r *Report) patches() []*Patch {
	var all []*Patch
	for _, o := range r.Resources {
		all = append(all, o.Patches...)
	}
	return all
}

// Problems returns what is wrong, one line each; none means that Istio admitted everything, every patch took effect
// somewhere, and Envoy accepted all of it.
func (r *Report) Problems() []string {
	var all []string
	for _, o := range r.Resources {
		if o.Conflict != "" {
			all = append(all, fmt.Sprintf("%s: %s", o, o.Conflict))
		}
		if o.Refused != "" {
			all = append(all, fmt.Sprintf("%s: Istio refuses it: %s", o, o.Refused))
		}
		for _, p := range o.Patches {
			if p.Ineffective() {
				all = append(all, fmt.Sprintf("%s: %s took no effect: %s", o, p, r.why(o, p)))
			}
		}
	}
	for _, p := range r.Proxies {
		for _, f := range p.Refusals {
			all = append(all, fmt.Sprintf("%s: %s: %s%s", p.Proxy,
				strings.TrimSpace(f.Type+" "+f.Name), f.Reason, p.blame(f)))
		}
	}
	return all
}

// why tells what a patch without effect may have missed.
func (r *Report) why(o *Resource, p *Patch) string {
	if p.ApplyTo == "EXTENSION_CONFIG" {
		return fmt.Sprintf("no HTTP filter with config_discovery named %q is in a listener of the proxies that were tried",
			p.name)
	}
	var tried []string
	for _, x := range r.reached(o) {
		tried = append(tried, x.String())
	}
	if len(tried) == 0 {
		return "no proxy is in its namespace and has the labels that its workloadSelector asks for, or is what its targetRefs name"
	}
	return "nothing that Istio sends to these proxies has what its match asks for: " + strings.Join(tried, "; ")
}

// blame names the patches that took effect in what was refused.
func (p *ProxyReport) blame(f Refusal) string {
	var names []string
	for _, x := range p.patches {
		id := strings.TrimPrefix(x.patch.mark, markName)
		if f.about(x) && !slices.Contains(names, id) {
			names = append(names, id)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " (patched there: " + strings.Join(names, ", ") + ")"
}

// about reports whether a patch took effect in what was refused: its place begins with the type and the name of what it
// changed. An extension configuration belongs to a filter of some listener.
func (f Refusal) about(x placed) bool {
	if x.patch.ApplyTo == "EXTENSION_CONFIG" {
		return f.Type == "listener" || strings.Contains(f.Reason, x.patch.name)
	}
	_, rest, _ := strings.Cut(x.where, " ")
	name, _, _ := strings.Cut(rest, ",")
	return name == f.Name || f.Name == "" && strings.Contains(f.Reason, name)
}

// Write writes the report for people.
func (r *Report) Write(w io.Writer) {
	for _, o := range r.Resources {
		switch {
		case o.Ignored:
			fmt.Fprintf(w, "%s: not read by Istio's discovery\n", o)
			continue
		case o.Repeated:
			fmt.Fprintf(w, "%s: given before\n", o)
			continue
		case o.Conflict != "":
			fmt.Fprintf(w, "%s: CONFLICT: %s\n", o, o.Conflict)
			continue
		case o.Refused != "":
			fmt.Fprintf(w, "%s: REFUSED by Istio: %s\n", o, o.Refused)
			continue
		}
		fmt.Fprintf(w, "%s: admitted\n", o)
		for _, s := range o.Warnings {
			if strings.Contains(s, "exposes internal implementation details") {
				continue // said of every EnvoyFilter
			}
			fmt.Fprintf(w, "  warning: %s\n", s)
		}
		for _, p := range o.Patches {
			switch {
			case p.Ineffective():
				fmt.Fprintf(w, "  %s: NO EFFECT: %s\n", p, r.why(o, p))
			case p.Untried != "":
				fmt.Fprintf(w, "  %s: not tried: %s\n", p, p.Untried)
			case len(p.Places) == 0:
				fmt.Fprintf(w, "  %s: nothing to remove\n", p)
			default:
				fmt.Fprintf(w, "  %s: %s\n", p, placesText(p.Places))
			}
			if p.Withheld != "" {
				fmt.Fprintf(w, "    not tried in Envoy: %s\n", p.Withheld)
			}
		}
	}
	for _, path := range r.Placeholders {
		fmt.Fprintf(w, "%s: made up, as no Secret of the input has it\n", path)
	}
	for _, p := range r.Proxies {
		fmt.Fprintf(w, "%s, %s: serves %s\n", p.Proxy, r.Envoy, count(p.Listeners, "listener"))
		for _, f := range p.Refusals {
			fmt.Fprintf(w, "  REFUSED %s: %s%s\n", strings.TrimSpace(f.Type+" "+f.Name), f.Reason, p.blame(f))
		}
		if len(p.Refusals) > 0 {
			for _, line := range p.Log {
				fmt.Fprintf(w, "  envoy: %s\n", line)
			}
		}
	}
}

// placesText names the first places and counts the others.
func placesText(places []Place) string {
	const shown = 3
	var parts []string
	for _, p := range places[:min(shown, len(places))] {
		parts = append(parts, p.Where)
	}
	parts = slices.Compact(parts)
	if len(places) > shown {
		parts = append(parts, fmt.Sprintf("%d more", len(places)-shown))
	}
	return strings.Join(parts, "; ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
