package verify

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Report is the result of [Verify].
type Report struct {
	Pilot, Envoy string // the path of the discovery server, and Envoy's version
	Resources    []*Resource
	Proxies      []*ProxyReport
	Placeholders []string // mounted files that no Secret of the input provides

	root string // Istio's root namespace
}

// Resource is the result for one object.
type Resource struct {
	Object   Object
	Ignored  bool     // whether discovery skips its kind
	Repeated bool     // whether an earlier object is the same
	Conflict string   // why an earlier object was tried instead; "" if none was
	Refused  string   // why Istio refused it; "" if Istio admitted it
	Warnings []string // Istio's
	Patches  []*Patch // of an EnvoyFilter
}

// String names the object, and the policies from which an EnvoyFilter was generated.
func (r *Resource) String() string {
	if from := text(dig(r.Object, "metadata", "annotations", "moe.mosn.io/policies")); from != "" {
		return r.Object.String() + ", of FilterPolicy " + from
	}
	return r.Object.String()
}

// Patch is the result for one patch of an EnvoyFilter.
type Patch struct {
	Index                       int
	ApplyTo, Operation, Context string
	Places                      []Place // where it took effect
	Withheld                    string  // why Envoy did not get it; "" if it did
	Untried                     string  // why it could not be tried; "" if it could

	mark, name string
}

// Place is where a patch took effect.
type Place struct {
	Proxy Proxy
	Where string
}

// Ineffective reports whether the patch should have matched something but matched nothing. A REMOVE may match nothing:
// its target is absent, as wanted.
func (p *Patch) Ineffective() bool {
	return len(p.Places) == 0 && p.Untried == "" && p.Operation != "REMOVE"
}

// settle marks as untried the patches that had nothing to match for a good reason. Envoy reads its bootstrap only when it
// starts; and a patch for gateways is idle in an EnvoyFilter that selects, and patches, only sidecars, and vice versa.
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
				p.Untried = "Envoy reads its bootstrap only when it starts"
			case works && alone && p.Context != "" && p.Context != "ANY":
				p.Untried = "it is for " + what + ", and the EnvoyFilter selects none"
			}
		}
	}
}

// reached returns those of the tried proxies that an EnvoyFilter selects.
func (r *Report) reached(o *Resource) []Proxy {
	var reached []Proxy
	for _, x := range r.Proxies {
		if selects(o.Object, x.Proxy, r.root) {
			reached = append(reached, x.Proxy)
		}
	}
	return reached
}

// String returns the patch's index, context, target and operation.
func (p *Patch) String() string {
	words := strings.Fields(p.Context + " " + p.ApplyTo + " " + p.Operation)
	return fmt.Sprintf("configPatches[%d] %s", p.Index, strings.Join(words, " "))
}

// ProxyReport is the result for one proxy.
type ProxyReport struct {
	Proxy     Proxy
	Listeners int // how many it serves
	Refusals  []Refusal
	Log       []string // errors from Envoy's log

	patches []placed
}

type placed struct {
	patch *Patch
	where string
}

// Refusal is a resource that Envoy refused, and why. Name is "" if Envoy gives it only within the reason.
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

// Problems returns one line per problem. If there is none, Istio admitted every object, every patch that could be tried
// took effect, and Envoy accepted the result.
func (r *Report) Problems() []string {
	var all []string
	for _, o := range r.Resources {
		if o.Conflict != "" {
			all = append(all, fmt.Sprintf("%s: %s", o, o.Conflict))
		}
		if o.Refused != "" {
			all = append(all, fmt.Sprintf("%s: refused by Istio: %s", o, o.Refused))
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

// why explains why a patch may have had no effect.
func (r *Report) why(o *Resource, p *Patch) string {
	if p.ApplyTo == "EXTENSION_CONFIG" {
		return fmt.Sprintf("no listener of the tried proxies has an HTTP filter %q with config_discovery; add it",
			p.name)
	}
	var tried []string
	for _, x := range r.reached(o) {
		tried = append(tried, x.String())
	}
	if len(tried) == 0 {
		return "the EnvoyFilter selects no proxy; check its namespace, and its workloadSelector or targetRefs"
	}
	return "its match fits nothing that Istio sends to these proxies: " + strings.Join(tried, "; ")
}

// blame names the patches that took effect in the refused resource.
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

// about reports whether a patch took effect in the refused resource: its place begins with the type and the name of the
// patched resource. An extension configuration may belong to a filter of any listener.
func (f Refusal) about(x placed) bool {
	if x.patch.ApplyTo == "EXTENSION_CONFIG" {
		return f.Type == "listener" || strings.Contains(f.Reason, x.patch.name)
	}
	_, rest, _ := strings.Cut(x.where, " ")
	name, _, _ := strings.Cut(rest, ",")
	return name == f.Name || f.Name == "" && strings.Contains(f.Reason, name)
}

// Write writes the report as text for people.
func (r *Report) Write(w io.Writer) {
	for _, o := range r.Resources {
		switch {
		case o.Ignored:
			fmt.Fprintf(w, "%s: ignored: Istio's discovery does not read this kind\n", o)
			continue
		case o.Repeated:
			fmt.Fprintf(w, "%s: same as an earlier object\n", o)
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
				continue // Istio says this of every EnvoyFilter
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
		fmt.Fprintf(w, "%s: placeholder: no Secret in the input provides it\n", path)
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

// placesText lists the first places and counts the rest.
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
