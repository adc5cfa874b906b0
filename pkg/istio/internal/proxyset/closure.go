package proxyset

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Closure is sets of proxies together with the intersections of any of them. So all sets that a proxy is in contain one
// of them, the innermost.
type Closure struct {
	disjoint func(a, b Set) bool
	byKey    map[string]Set
	shapes   map[string]shape
	byShape  map[string][]Set // by the key of the shape
}

// MaxOverlaps bounds how many sets a closure has besides those that it was made of: selectors of different labels may
// overlap in exponentially many ways.
const MaxOverlaps = 1000

// Close returns the closure of the sets; false if the overlaps are more than [MaxOverlaps]. Two sets that disjoint
// reports have no proxy in common, whatever their conditions; disjoint may be nil.
func Close(sets []Set, disjoint func(a, b Set) bool) (*Closure, bool) {
	c := &Closure{disjoint: disjoint, byKey: map[string]Set{}, shapes: map[string]shape{}, byShape: map[string][]Set{}}
	added := c.add(sets)
	first := len(added)
	for len(added) > 0 {
		if len(c.byKey) > first+MaxOverlaps {
			return c, false
		}
		var overlaps []Set
		found := map[string]bool{}
		for _, sk := range slices.Sorted(maps.Keys(c.shapes)) {
			for _, o := range c.intersections(added, c.shapes[sk], c.byShape[sk]) {
				if k := o.Key(); !found[k] {
					found[k] = true
					overlaps = append(overlaps, o)
				}
			}
			if len(c.byKey)+len(found) > 2*(first+MaxOverlaps) {
				return c, false
			}
		}
		added = c.add(overlaps)
	}
	return c, true
}

// add returns those of sets that c did not have.
func (c *Closure) add(sets []Set) (added []Set) {
	for _, s := range sets {
		key := s.Key()
		if _, ok := c.byKey[key]; ok {
			continue
		}
		sh := shapeOf(s)
		c.byKey[key] = s
		c.shapes[sh.key()] = sh
		c.byShape[sh.key()] = append(c.byShape[sh.key()], s)
		added = append(added, s)
	}
	return added
}

// intersections intersects each of a with each of b, all of which have shape sh. It compares only pairs that agree on
// the conditions that both have.
func (c *Closure) intersections(a []Set, sh shape, b []Set) (overlaps []Set) {
	index := map[string]map[string][]Set{} // by the key of the common shape, and the key of the projection
	for _, s := range a {
		own := shapeOf(s)
		if own.traffic != sh.traffic || own.key() == sh.key() {
			continue
		}
		common := own.common(sh)
		projected := index[common.key()]
		if projected == nil {
			projected = map[string][]Set{}
			for _, o := range b {
				w, _ := common.project(o)
				projected[w.Key()] = append(projected[w.Key()], o)
			}
			index[common.key()] = projected
		}
		w, _ := common.project(s)
		for _, o := range projected[w.Key()] {
			if both, ok := s.Intersect(o); ok && (c.disjoint == nil || !c.disjoint(s, o)) {
				overlaps = append(overlaps, both)
			}
		}
	}
	return overlaps
}

// Sets returns all sets, from the widest to the narrowest.
func (c *Closure) Sets() []Set {
	all := make([]Set, 0, len(c.byKey))
	for _, k := range slices.Sorted(maps.Keys(c.byKey)) {
		all = append(all, c.byKey[k])
	}
	slices.SortStableFunc(all, func(a, b Set) int { return a.Size() - b.Size() })
	return all
}

// Containing returns the sets of c that contain s, from the widest to the narrowest; s itself is one, if c has it.
func (c *Closure) Containing(s Set) (all []Set) {
	for _, k := range slices.Sorted(maps.Keys(c.shapes)) {
		if w, ok := c.shapes[k].project(s); ok {
			if found, ok := c.byKey[w.Key()]; ok {
				all = append(all, found)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Set) int { return a.Size() - b.Size() })
	return all
}

// shape is which conditions a set has, whatever their values. Two sets of one shape are equal or disjoint, so that only
// sets of different shapes need to be compared.
type shape struct {
	traffic               Traffic
	namespace, host, port bool
	labels                []string // sorted
}

func shapeOf(s Set) shape {
	return shape{s.Traffic, s.Namespace != "", s.Host != "", s.Port != 0, slices.Sorted(maps.Keys(s.Labels))}
}

// Conditions returns a text that is the same for sets with conditions on the same things, whatever the values.
func (s Set) Conditions() string { return shapeOf(s).key() }

func (a shape) key() string {
	return string(a.traffic) + strconv.FormatBool(a.namespace) + strconv.FormatBool(a.host) + strconv.FormatBool(a.port) +
		strings.Join(a.labels, "|")
}

// common returns the conditions that both have.
func (a shape) common(b shape) shape {
	c := shape{
		traffic: a.traffic, namespace: a.namespace && b.namespace, host: a.host && b.host, port: a.port && b.port,
	}
	for _, l := range a.labels {
		if slices.Contains(b.labels, l) {
			c.labels = append(c.labels, l)
		}
	}
	return c
}

// project drops from s the conditions that a does not have; false if s lacks one that a has.
func (a shape) project(s Set) (Set, bool) {
	w := Set{Traffic: a.traffic}
	if a.namespace {
		if w.Namespace = s.Namespace; w.Namespace == "" {
			return w, false
		}
	}
	if a.host {
		if w.Host = s.Host; w.Host == "" {
			return w, false
		}
	}
	if a.port {
		if w.Port = s.Port; w.Port == 0 {
			return w, false
		}
	}
	if len(a.labels) > 0 {
		w.Labels = make(map[string]string, len(a.labels))
	}
	for _, l := range a.labels {
		v, ok := s.Labels[l]
		if !ok {
			return w, false
		}
		w.Labels[l] = v
	}
	return w, s.Traffic == a.traffic
}
