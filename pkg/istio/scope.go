package istio

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// scope is a set of proxies: those in a namespace (in all of them, if ns is empty) whose pods have all the labels; and
// for inbound traffic perhaps of one port only.
type scope struct {
	traffic traffic
	ns      string
	labels  map[string]string
	port    uint32
}

// key tells scopes apart.
func (s scope) key() string {
	var b strings.Builder
	b.WriteString(string(s.traffic) + "|" + s.ns)
	for _, k := range slices.Sorted(maps.Keys(s.labels)) {
		b.WriteString("|" + k + "=" + s.labels[k])
	}
	if s.port != 0 {
		b.WriteString("|:" + strconv.FormatUint(uint64(s.port), 10))
	}
	return b.String()
}

// size is by how many conditions s is narrowed down; of two scopes, one in the other, the inner one has the larger size.
func (s scope) size() int {
	n := len(s.labels)
	if s.ns != "" {
		n++
	}
	if s.port != 0 {
		n++
	}
	return n
}

// holds tells whether every proxy of o is in s.
func (s scope) holds(o scope) bool {
	if s.traffic != o.traffic || s.ns != "" && s.ns != o.ns || s.port != 0 && s.port != o.port {
		return false
	}
	for k, v := range s.labels {
		if w, ok := o.labels[k]; !ok || w != v {
			return false
		}
	}
	return true
}

// meet returns the proxies that are in both, and false where there can be none.
func (s scope) meet(o scope) (scope, bool) {
	if s.traffic != o.traffic || s.ns != "" && o.ns != "" && s.ns != o.ns || s.port != 0 && o.port != 0 && s.port != o.port {
		return scope{}, false
	}
	m := scope{traffic: s.traffic, ns: s.ns, port: s.port, labels: maps.Clone(s.labels)}
	if m.ns == "" {
		m.ns = o.ns
	}
	if m.port == 0 {
		m.port = o.port
	}
	for k, v := range o.labels {
		if w, ok := m.labels[k]; ok && w != v {
			return scope{}, false
		}
		if m.labels == nil {
			m.labels = map[string]string{}
		}
		m.labels[k] = v
	}
	return m, true
}

// shape is by what a scope is narrowed down, whatever the values. Two scopes of one shape are the same or have nothing in
// common, so that only shapes need be compared with each other.
type shape struct {
	traffic  traffic
	ns, port bool
	labels   []string // sorted
}

func shapeOf(s scope) shape {
	return shape{s.traffic, s.ns != "", s.port != 0, slices.Sorted(maps.Keys(s.labels))}
}

func (a shape) key() string {
	return string(a.traffic) + strconv.FormatBool(a.ns) + strconv.FormatBool(a.port) + strings.Join(a.labels, "|")
}

// common returns what both are narrowed down by.
func (a shape) common(b shape) shape {
	c := shape{traffic: a.traffic, ns: a.ns && b.ns, port: a.port && b.port}
	for _, l := range a.labels {
		if slices.Contains(b.labels, l) {
			c.labels = append(c.labels, l)
		}
	}
	return c
}

// project widens s to shape a; false where s is not narrowed down by all that a is.
func (a shape) project(s scope) (scope, bool) {
	w := scope{traffic: a.traffic}
	if a.ns {
		if w.ns = s.ns; w.ns == "" {
			return w, false
		}
	}
	if a.port {
		if w.port = s.port; w.port == 0 {
			return w, false
		}
	}
	if len(a.labels) > 0 {
		w.labels = make(map[string]string, len(a.labels))
	}
	for _, l := range a.labels {
		v, ok := s.labels[l]
		if !ok {
			return w, false
		}
		w.labels[l] = v
	}
	return w, s.traffic == a.traffic
}

// scopes is a set of scopes that holds, with any two, what both have in common; so every proxy in one of them has one
// scope that is inside of all its others.
type scopes struct {
	apart  func(a, b scope) bool
	byKey  map[string]scope
	shapes map[string]shape
	lists  map[string][]scope // by the key of the shape
}

// maxScopes bounds what selectors that overlap in every way may come to, beside themselves.
const maxScopes = 1000

// closure returns the scopes that are given with all that they have in common; false if these are too many. Two that are
// apart have nothing in common; apart may be nil.
func closure(given []scope, apart func(a, b scope) bool) (*scopes, bool) {
	c := &scopes{apart: apart, byKey: map[string]scope{}, shapes: map[string]shape{}, lists: map[string][]scope{}}
	fresh := c.add(given)
	first := len(fresh)
	for len(fresh) > 0 {
		if len(c.byKey) > first+maxScopes {
			return c, false
		}
		var met []scope
		found := map[string]bool{}
		for _, sk := range slices.Sorted(maps.Keys(c.shapes)) {
			for _, m := range c.meets(fresh, c.shapes[sk], c.lists[sk]) {
				if k := m.key(); !found[k] {
					found[k] = true
					met = append(met, m)
				}
			}
			if len(c.byKey)+len(found) > 2*(first+maxScopes) {
				return c, false
			}
		}
		fresh = c.add(met)
	}
	return c, true
}

// add returns those of given that are new.
func (c *scopes) add(given []scope) (fresh []scope) {
	for _, s := range given {
		key := s.key()
		if _, ok := c.byKey[key]; ok {
			continue
		}
		sh := shapeOf(s)
		c.byKey[key] = s
		c.shapes[sh.key()] = sh
		c.lists[sh.key()] = append(c.lists[sh.key()], s)
		fresh = append(fresh, s)
	}
	return fresh
}

// meets returns what each of a has in common with each of b, all of which have shape sh. It looks at pairs that agree on
// what both are narrowed down by, and at no others.
func (c *scopes) meets(a []scope, sh shape, b []scope) (met []scope) {
	index := map[string]map[string][]scope{} // by the key of the common shape, and the key of the projection
	for _, s := range a {
		own := shapeOf(s)
		if own.traffic != sh.traffic || own.key() == sh.key() {
			continue
		}
		common := own.common(sh)
		projected := index[common.key()]
		if projected == nil {
			projected = map[string][]scope{}
			for _, o := range b {
				w, _ := common.project(o)
				projected[w.key()] = append(projected[w.key()], o)
			}
			index[common.key()] = projected
		}
		w, _ := common.project(s)
		for _, o := range projected[w.key()] {
			if m, ok := s.meet(o); ok && (c.apart == nil || !c.apart(s, o)) {
				met = append(met, m)
			}
		}
	}
	return met
}

// sorted returns the scopes from the widest to the narrowest.
func (c *scopes) sorted() []scope {
	all := make([]scope, 0, len(c.byKey))
	for _, k := range slices.Sorted(maps.Keys(c.byKey)) {
		all = append(all, c.byKey[k])
	}
	slices.SortStableFunc(all, func(a, b scope) int { return a.size() - b.size() })
	return all
}

// around returns the scopes of c that hold s, itself included, from the widest to the narrowest.
func (c *scopes) around(s scope) (all []scope) {
	for _, k := range slices.Sorted(maps.Keys(c.shapes)) {
		if w, ok := c.shapes[k].project(s); ok {
			if found, ok := c.byKey[w.key()]; ok {
				all = append(all, found)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b scope) int { return a.size() - b.size() })
	return all
}
