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
	"mosn.io/moe/pkg/istio/internal/plan"
	"mosn.io/moe/pkg/istio/internal/policy"
	"mosn.io/moe/pkg/istio/v1alpha1"
)

// Text tells in plain text which chain requests get, and of every part which policy has decided it: for all requests
// of each set of proxies, and then for each virtual host and route that has a chain of its own. match restricts it to
// the hosts and routes of that name; "" is all, and the proxies' own chains besides. No values are shown.
func Text(p *plan.Plan, match string) string {
	var b strings.Builder
	for _, base := range p.ProxyChains {
		spots := spotsOf(p, base, match)
		if len(spots) == 0 && (base.Inherited || match != "") {
			continue
		}
		fmt.Fprintf(&b, "%s\n", base.Proxies)
		describeSettings(&b, base.Settings)
		if len(base.Doc.Plugins) == 0 {
			fmt.Fprintln(&b, "  no plugins, but for:")
		} else {
			describe(&b, "  ", base.Doc)
		}
		for _, s := range spots {
			fmt.Fprintf(&b, "  %s\n", s.title)
			describe(&b, "    ", plan.Merge(append(slices.Clone(base.Contributions), s.Contributions...), true, &manifest.Problems{}))
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

// titled is a spot for people, with others that differ in nothing but the port.
type titled struct {
	*plan.RouteChain
	title string
	ports []string
}

// spotsOf returns those of a base, in the order of their hosts and routes.
func spotsOf(p *plan.Plan, b *plan.ProxyChain, match string) []*titled {
	byTitle := map[string]*titled{}
	key := b.Proxies.Key()
	for _, s := range p.RouteChains {
		if s.Proxies.Key() != key || !matches(s, match) {
			continue
		}
		id := s.Host + "\n" + s.Route + "\n" + s.Section
		for _, c := range s.Contributions {
			id += fmt.Sprintf("\n%s %s", c.Policy, c.Path)
		}
		if byTitle[id] == nil {
			byTitle[id] = &titled{RouteChain: s}
		}
		if s.Port != 0 {
			byTitle[id].ports = append(byTitle[id].ports, fmt.Sprint(s.Port))
		}
	}
	all := slices.Collect(maps.Values(byTitle))
	slices.SortFunc(all, func(a, b *titled) int { return plan.CompareRouteParts(a.RoutePart, b.RoutePart) })
	for _, s := range all {
		s.title = describeSpot(s.RouteChain)
		switch len(s.ports) {
		case 0:
		case 1:
			s.title += ", port " + s.ports[0]
		default:
			s.title += ", ports " + strings.Join(s.ports, ", ")
		}
	}
	return all
}

func matches(s *plan.RouteChain, match string) bool {
	return match == "" || strings.EqualFold(match, s.Host) || match == s.Route
}

func describeSpot(s *plan.RouteChain) string {
	var t string
	switch {
	case s.Host == "" && s.Section != "":
		t = "listener " + s.Section
	case s.Host == "":
		t = "all hosts"
	case s.Route == "":
		t = "host " + s.Host
	default:
		t = fmt.Sprintf("route %s of %s", s.Route, s.Host)
	}
	return t
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
