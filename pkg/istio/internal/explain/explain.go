// Package explain describes a plan to people.
package explain

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/internal/mesh"
	"mosn.io/moe/pkg/istio/internal/plan"
	"mosn.io/moe/pkg/istio/internal/policy"
	"mosn.io/moe/pkg/istio/internal/proxyset"
	"mosn.io/moe/pkg/istio/v1alpha1"
)

// Text describes in plain text which chain requests get and, for each part, which policy has decided it: first for all
// requests of each set of proxies, and then for each virtual host and route that has a chain of its own. match restricts
// it to a route of that name and to what takes requests for that host; "" is everything. It shows no values.
func Text(p *plan.Plan, match string) string {
	routes := map[string][]*plan.RouteChain{} // by their proxies
	for _, r := range p.RouteChains {
		if matches(p.Mesh, r, match) {
			routes[r.Proxies.Key()] = append(routes[r.Proxies.Key()], r)
		}
	}
	var b strings.Builder
	for _, chain := range p.ProxyChains {
		own := title(routes[chain.Proxies.Key()])
		if len(own) == 0 && (chain.Inherited || match != "" && !takes(p, chain, strings.ToLower(match))) {
			continue
		}
		fmt.Fprintf(&b, "%s\n", chain.Proxies)
		describeSettings(&b, chain.Settings)
		if len(chain.Doc.Plugins) == 0 {
			fmt.Fprintln(&b, "  no plugins, but for:")
		} else {
			describe(&b, "  ", chain.Doc)
		}
		for _, r := range own {
			fmt.Fprintf(&b, "  %s\n", r.title)
			all := append(slices.Clone(chain.Contributions), r.Contributions...)
			describe(&b, "    ", plan.Merge(all, true, &manifest.Problems{}))
			for i := range r.Natives {
				n := &r.Natives[i]
				state := "configured"
				if n.Disabled {
					state = "off"
				}
				fmt.Fprintf(&b, "    %s: %s (%s)\n", nativeName(n.Of), state, n.From)
			}
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

// takes reports whether a waypoint runs the chain for all requests for a host, and no narrower one.
func takes(p *plan.Plan, chain *plan.ProxyChain, host string) bool {
	if chain.Proxies.Traffic != proxyset.Waypoint {
		return false
	}
	for _, g := range p.Mesh.Waypoints("") {
		for _, s := range g.Serves {
			for _, port := range s.InOrder() {
				if port.NotHTTP != "" || !slices.Contains(s.Hosts, host) {
					continue
				}
				if in := p.Innermost(g.ServedBy(host, port.Number)); in == chain {
					return true
				}
			}
		}
	}
	return false
}

// titled is a chain of a route, together with those that differ from it in nothing but the port.
type titled struct {
	*plan.RouteChain
	title string
	ports []string
}

// title gives titles to chains, in the order of their hosts and routes.
func title(routes []*plan.RouteChain) []*titled {
	byID := map[string]*titled{}
	for _, r := range routes {
		id := r.Host + "\n" + r.Route + "\n" + r.Section
		for _, c := range r.Contributions {
			id += fmt.Sprintf("\n%s %s", c.Policy, c.Path)
		}
		if byID[id] == nil {
			byID[id] = &titled{RouteChain: r}
		}
		if r.Port != 0 {
			byID[id].ports = append(byID[id].ports, fmt.Sprint(r.Port))
		}
	}
	all := slices.Collect(maps.Values(byID))
	slices.SortFunc(all, func(a, b *titled) int { return plan.CompareRouteParts(a.RoutePart, b.RoutePart) })
	for _, t := range all {
		t.title = describePart(t.RoutePart)
		switch len(t.ports) {
		case 0:
		case 1:
			t.title += ", port " + t.ports[0]
		default:
			t.title += ", ports " + strings.Join(t.ports, ", ")
		}
	}
	return all
}

// matches reports whether requests for a host that is called match, or a route of that name, get the chain. A virtual
// host's domain may be a wildcard; then it takes the hosts for which there is no narrower one.
func matches(m *mesh.Mesh, r *plan.RouteChain, match string) bool {
	if match == "" || match == r.Route || strings.EqualFold(match, r.Host) {
		return true
	}
	return r.Host != "" && strings.Contains(match, ".") && m.VirtualHostFor(r.Group, r.Port, strings.ToLower(match)) == r.Host
}

func describePart(p plan.RoutePart) string {
	switch {
	case p.Host == "" && p.Section != "":
		return "listener " + p.Section
	case p.Host == "":
		return "all hosts"
	case p.Route == "":
		return "host " + p.Host
	}
	return fmt.Sprintf("route %s of %s", p.Route, p.Host)
}

func describeSettings(b *strings.Builder, s plan.Settings) {
	by := func(p *policy.Policy) string {
		if p == nil {
			return "default"
		}
		return p.String()
	}
	var hosts []string
	for _, h := range s.Hosts {
		hosts = append(hosts, describeHost(h))
	}
	delivery := "ecds"
	if s.Inline {
		delivery = "inline"
	}
	fmt.Fprintf(b, "  host: %s (%s); place: %s (%s); delivery: %s (%s)\n", strings.Join(hosts, ", "), by(s.HostsFrom),
		describeInsert(s.Insert), by(s.InsertFrom), delivery, by(s.DeliveryFrom))
	for i := range s.Natives {
		n := &s.Natives[i]
		place := n.Position + " the plugins"
		if n.Stage != "" {
			place += " of stage " + n.Stage
		}
		fmt.Fprintf(b, "  %s: %s (%s)\n", nativeName(n), place, n.From)
	}
}

// nativeName names a filter of Envoy's own by its id, and by its name where that is another.
func nativeName(n *plan.Native) string {
	if id := n.EntryID(); id != n.Name {
		return id + " (" + n.Name + ")"
	}
	return n.Name
}

func describeHost(h v1alpha1.Host) string {
	t := "dynamic modules"
	switch {
	case h.Golang != nil:
		t = "golang"
	case h.ExtProc != nil:
		t = "external processing by " + h.ExtProc.Address
	}
	if h.ProxyVersion != "" {
		t += " for proxies " + h.ProxyVersion
	}
	return t
}

func describeInsert(in v1alpha1.Insert) string {
	switch {
	case in.Before != "":
		return "before " + in.Before
	case in.After != "":
		return "after " + in.After
	case in.Position != "":
		return in.Position
	}
	return "beforeRouter"
}

// describe writes the plugins of a document in the order in which they run.
func describe(b *strings.Builder, indent string, d *plan.Document) {
	order := make([]int, len(d.Plugins))
	for i := range order {
		order[i] = i
	}
	if d.Order != document.AsListed {
		slices.SortStableFunc(order, func(a, b int) int { return int(stage(d.Plugins[a])) - int(stage(d.Plugins[b])) })
	}
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, i := range order {
		e := d.Plugins[i]
		name := e.EntryID()
		if e.Name != name {
			name += " (" + e.Name + ")"
		}
		state := stage(e).String()
		if e.Off() {
			state = "off"
		}
		fmt.Fprintf(w, "%s%s\t%s\t%s\n", indent, name, state, decided(d.Origins(config.Index("plugins", i))))
	}
	for i, c := range d.Consumers {
		fmt.Fprintf(w, "%sconsumer %s\t\t%s\n", indent, c.Name, by(d.Origins(config.Index("consumers", i))))
	}
	for _, f := range []struct {
		name  string
		value any
	}{{"order", d.Order}, {"timeout", d.Timeout}} {
		if from := d.Origins(f.name); from != nil {
			fmt.Fprintf(w, "%s%s: %v\t\t%s\n", indent, f.name, f.value, by(from[len(from)-1:]))
		}
	}
	_ = w.Flush() // to a strings.Builder
	for line := range strings.Lines(text.String()) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
}

func stage(e document.Plugin) filter.Stage {
	if reg := filter.Lookup(e.Name); reg != nil {
		return reg.Stage
	}
	return filter.Observe
}

// by names the policies of origins, the one that wins first.
func by(origins []plan.Origin) string {
	var names []string
	for i := len(origins) - 1; i >= 0; i-- {
		n := where(origins[i])
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return strings.Join(names, ", over ")
}

func where(o plan.Origin) string {
	p := o.From.Policy
	return fmt.Sprintf("%s (%s:%d)", p, p.File, p.LineOf(o.Path))
}

// decided names the policies of a plugin's origins and, if there are several, the fields that each has decided.
func decided(origins []plan.Origin) string {
	text := by(origins)
	if len(origins) == 1 {
		return text
	}
	var parts []string
	for i := len(origins) - 1; i >= 0; i-- {
		o := origins[i]
		entry := o.From.Policy.At(o.Path)
		var fields []string
		for _, f := range leaves("config", manifest.Dig(entry, "config")) {
			if decidedBy(origins, f) == i {
				fields = append(fields, f)
			}
		}
		if manifest.Dig(entry, "disabled") != nil && decidedBy(origins, "disabled") == i {
			fields = append(fields, "disabled")
		}
		if fields != nil {
			parts = append(parts, fmt.Sprintf("%s: %s", o.From.Policy, strings.Join(fields, ", ")))
		}
	}
	if parts != nil {
		text += "; " + strings.Join(parts, "; ")
	}
	return text
}

// decidedBy returns the index of the last origin that has a field, or a value in place of one of its parents; -1 if none
// does.
func decidedBy(origins []plan.Origin, path string) int {
	for i := len(origins) - 1; i >= 0; i-- {
		for at := path; at != "" && at != "config"; at = manifest.Parent(at) {
			v := origins[i].From.Policy.At(origins[i].Path + "." + at)
			if _, isObject := v.(map[string]any); v != nil && (at == path || !isObject) {
				return i
			}
		}
	}
	return -1
}

// leaves lists the paths of the values in v that are not objects.
func leaves(path string, v any) (all []string) {
	m, ok := v.(map[string]any)
	if !ok {
		if v != nil {
			all = append(all, path)
		}
		return all
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all = append(all, leaves(config.Key(path, k), m[k])...)
	}
	return all
}
