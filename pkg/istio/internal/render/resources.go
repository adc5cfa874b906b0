package render

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/pkg/istio/internal/plan"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
	clientv1alpha3 "istio.io/client-go/pkg/apis/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/internal/mesh"
	"mosn.io/moe/pkg/istio/internal/proxyset"
)

// Labels and annotations of what is generated.
const (
	// ManagedByLabel and ManagedBy mark every EnvoyFilter, for `kubectl apply --prune -l`.
	ManagedByLabel = "app.kubernetes.io/managed-by"
	ManagedBy      = "moe"
	// PoliciesAnnotation lists the policies that an EnvoyFilter comes from.
	PoliciesAnnotation = "moe.mosn.io/policies"
)

// MaxResource is how large an object may be: what etcd takes by default, less what the API server adds to an object.
const MaxResource = 1_500_000

// splitAt is from what size on a resource with routes is made two.
const splitAt = 1_000_000

// Priorities; Istio applies patches in this order. Narrower sets of proxies come after wider ones, and all of them after the
// EnvoyFilters without a priority, so that insertions can refer to filters of these.
const (
	basePriority  = 10
	routePriority = 1000
)

type renderer struct {
	plan *plan.Plan
	root string
	p    *manifest.Problems
}

// piece is a resource that is being made.
type piece struct {
	proxies  proxyset.Set
	name     string
	priority int
	patches  []*Patch
	policies map[string]bool
	first    *plan.Contribution
}

func (pc *piece) from(all []*plan.Contribution) {
	for _, c := range all {
		pc.policies[c.Policy.String()] = true
		if pc.first == nil {
			pc.first = c
		}
	}
}

// EnvoyFilters makes the EnvoyFilters of a plan. root is Istio's root namespace.
func EnvoyFilters(made *plan.Plan, root string, p *manifest.Problems) []*clientv1alpha3.EnvoyFilter {
	g := &renderer{plan: made, root: root, p: p}
	pieces := map[string]*piece{}
	get := func(s proxyset.Set, owner string, slug string, priority int) *piece {
		if s.Traffic != proxyset.Waypoint {
			s.Traffic = ""
		}
		s.Host, s.Port = "", 0
		key := s.Key() + "\n" + owner
		if pieces[key] == nil {
			pieces[key] = &piece{
				proxies: s, name: resourceName(slug, key), priority: priority, policies: map[string]bool{},
			}
		}
		return pieces[key]
	}
	for _, b := range made.ProxyChains {
		if b.Inherited {
			continue
		}
		owner := ""
		if b.Proxies.Port != 0 {
			owner = strings.TrimSpace(b.Proxies.Host + " " + fmt.Sprint(b.Proxies.Port))
		}
		pc := get(b.Proxies, owner, baseSlug(b.Proxies), basePriority*(1+b.Proxies.Size()))
		pc.from(b.Contributions)
		routes := made.RoutesOf(b)
		for _, r := range routes {
			pc.from(r.Contributions)
		}
		for i := range b.Settings.Hosts {
			h := &b.Settings.Hosts[i]
			patches, err := basePatches(b, h)
			if b.Proxies.Traffic == proxyset.Waypoint {
				patches, err = waypointPatches(b, routes, h)
			}
			g.cannot(err, b.Doc)
			pc.patches = append(pc.patches, patches...)
		}
	}
	for _, group := range g.groups() {
		r := group.results[0]
		pc := get(r.Proxies, r.Owner.String(), r.Owner.Slug(), routePriority+r.Proxies.Size())
		for _, r := range group.results {
			pc.from(r.Contributions)
		}
		for i := range r.Settings.Hosts {
			ports := []uint32{0}
			if !group.everyPort {
				ports = group.ports
			}
			for _, port := range ports {
				p, err := routePatch(r, &r.Settings.Hosts[i], port)
				g.cannot(err, r.Doc)
				pc.patches = append(pc.patches, p)
			}
		}
	}
	var all []*clientv1alpha3.EnvoyFilter
	for _, k := range slices.Sorted(maps.Keys(pieces)) {
		all = append(all, g.resources(pieces[k])...)
	}
	slices.SortFunc(all, func(a, b *clientv1alpha3.EnvoyFilter) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// cannot reports what Envoy's configuration cannot hold.
func (g *renderer) cannot(err error, d *plan.Document) {
	if err == nil {
		return
	}
	e := config.Error{Msg: err.Error()}
	if path, msg, ok := strings.Cut(e.Msg, ": "); ok {
		if at, _ := d.Find(path); at.From != nil {
			e.Path, e.Msg = path, msg
		}
	}
	g.plan.Report(d, e)
}

// routeGroup is a document that a virtual host or route has on several ports.
type routeGroup struct {
	results   []*plan.RouteChain
	ports     []uint32
	everyPort bool
}

// groups puts the ports of virtual hosts and routes together that have the same document.
func (g *renderer) groups() []*routeGroup {
	byKey := map[string]*routeGroup{}
	var order []*routeGroup
	index := map[*mesh.GatewayGroup]int{}
	for i, f := range g.plan.Mesh.Groups {
		index[f] = i + 1
	}
	for _, r := range g.plan.RouteChains {
		if r.Waypoint {
			continue // it is in the filters of its waypoint
		}
		at := r.RoutePart
		if at.Host != "" && at.Group != nil {
			at.Port = 0
		}
		key := fmt.Sprint(index[at.Group], at.Port, at.Section, at.Host, "\n", at.Route, "\n", r.Proxies.Key())
		if at.Gateway != nil {
			key += at.Gateway.ID.String()
		}
		for _, c := range r.Contributions {
			key += fmt.Sprintf("\n%s %s", c.Policy, c.Path)
		}
		if byKey[key] == nil {
			byKey[key] = &routeGroup{}
			order = append(order, byKey[key])
		}
		byKey[key].results = append(byKey[key].results, r)
	}
	for _, group := range order {
		r := group.results[0]
		for _, r := range group.results {
			group.ports = append(group.ports, r.Port)
		}
		slices.Sort(group.ports)
		group.everyPort = r.Port == 0 || r.Group != nil && r.Host != "" && len(r.Group.VirtualHosts[r.Host]) == len(group.ports)
	}
	slices.SortStableFunc(order, func(a, b *routeGroup) int {
		x, y := a.results[0], b.results[0]
		return cmp.Or(plan.CompareRouteParts(x.RoutePart, y.RoutePart), cmp.Compare(x.Proxies.Key(), y.Proxies.Key()))
	})
	return order
}

// resources makes EnvoyFilters of a piece; several, if it is large.
func (g *renderer) resources(pc *piece) (all []*clientv1alpha3.EnvoyFilter) {
	policies := slices.Sorted(maps.Keys(pc.policies))
	const most = 50
	if n := len(policies); n > most {
		policies = append(policies[:most:most], fmt.Sprintf("and %d more", n-most))
	}
	for i, patches := range split(pc.patches) {
		ef := &clientv1alpha3.EnvoyFilter{
			TypeMeta: metav1.TypeMeta{APIVersion: "networking.istio.io/v1alpha3", Kind: "EnvoyFilter"},
			ObjectMeta: metav1.ObjectMeta{
				Name: pc.name, Namespace: cmp.Or(pc.proxies.Namespace, g.root),
				Labels:      map[string]string{ManagedByLabel: ManagedBy},
				Annotations: map[string]string{PoliciesAnnotation: strings.Join(policies, ", ")},
			},
			Spec: networking.EnvoyFilter{Priority: int32(pc.priority), ConfigPatches: patches},
		}
		if i > 0 {
			ef.Name += fmt.Sprintf("-%d", i+1)
		}
		if pc.proxies.Traffic == proxyset.Waypoint {
			ef.Spec.TargetRefs = append(ef.Spec.TargetRefs, waypointTarget(pc.proxies))
		} else if len(pc.proxies.Labels) > 0 {
			ef.Spec.WorkloadSelector = &networking.WorkloadSelector{Labels: pc.proxies.Labels}
		}
		if text, err := JSON(ef); err != nil {
			g.p.Add(manifest.Error{Msg: fmt.Sprintf("EnvoyFilter %s/%s: %v", ef.Namespace, ef.Name, err)})
		} else if len(text) > MaxResource {
			g.p.At(pc.first.Policy.Object, "spec", "EnvoyFilter %s/%s of this policy comes to %d bytes, and Kubernetes takes "+
				"%d; have fewer consumers in one policy, or keep them in a file of the proxy", ef.Namespace, ef.Name, len(text),
				MaxResource)
		}
		all = append(all, ef)
	}
	return all
}

// split makes lists of patches that fit into a resource each. Patches of a chain, which must stay in order, stay
// together: there are never so many of them.
func split(patches []*Patch) (lists [][]*Patch) {
	size, from := 0, 0
	for i, p := range patches {
		n := proto.Size(p)
		if i > from && size+n > splitAt/2 && p.ApplyTo != networking.EnvoyFilter_HTTP_FILTER {
			lists = append(lists, patches[from:i])
			size, from = 0, i
		}
		size += n
	}
	return append(lists, patches[from:])
}

// JSON returns an EnvoyFilter as Kubernetes takes it, without the fields that only Kubernetes fills.
func JSON(ef *clientv1alpha3.EnvoyFilter) ([]byte, error) {
	spec, err := ef.Spec.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{
		"apiVersion": ef.APIVersion, "kind": ef.Kind, "spec": json.RawMessage(spec),
		"metadata": map[string]any{
			"name": ef.Name, "namespace": ef.Namespace, "labels": ef.Labels, "annotations": ef.Annotations,
		},
	})
}

// YAML returns the EnvoyFilters as one text for kubectl.
func YAML(all []*clientv1alpha3.EnvoyFilter) ([]byte, error) {
	var b bytes.Buffer
	for _, ef := range all {
		text, err := JSON(ef)
		if err == nil {
			text, err = yaml.JSONToYAML(text)
		}
		if err != nil {
			return nil, fmt.Errorf("EnvoyFilter %s/%s: %w", ef.Namespace, ef.Name, err)
		}
		b.WriteString("---\n")
		b.Write(text)
	}
	return b.Bytes(), nil
}

// resourceName is readable, and by its end unique to what key says.
func resourceName(slug, key string) string {
	sum := sha256.Sum256([]byte(key))
	const most = 200
	slug = strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, slug), "-")
	if len(slug) > most {
		slug = slug[:most]
	}
	if slug != "" {
		slug += "-"
	}
	return "moe-" + slug + hex.EncodeToString(sum[:4])
}

func baseSlug(s proxyset.Set) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(s.Labels)) {
		parts = append(parts, s.Labels[k])
	}
	if s.Traffic == proxyset.Waypoint && len(parts) == 0 {
		parts = append(parts, "waypoints")
	}
	if s.Host != "" {
		parts = append(parts, s.Host)
	}
	if s.Port != 0 {
		parts = append(parts, fmt.Sprint(s.Port))
	}
	return strings.Join(parts, "-")
}
