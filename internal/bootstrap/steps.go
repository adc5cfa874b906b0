package bootstrap

import (
	"maps"
	"math"
	"reflect"
	"slices"

	"mosn.io/moe/framework/document"
)

// Steps are the configurations by which an Envoy goes from one to another without an answer that neither gives. Envoy
// takes resources one after the other, so a request may meet the plugins of one configuration and the routes of the
// other. Each step is such that its plugins and upstreams fit the routes before it as well.
type Steps struct {
	// Now are to be written in turn, each when Envoy has the clusters of the one before.
	Now []Options
	// Later, unless nil, is to be written when no request is left that began before Now. It lacks what only those need.
	Later *Options
}

// NewSteps returns the steps from old to next. fits reports whether the documents of all routes can be merged over the
// filter's. Both must be complete and have the same host. Requests may still have the routes of earlier configurations, which
// the steps fit, too.
func NewSteps(old, next Options, fits func(filter map[string]any, routes []Route) bool, earlier ...Options) Steps {
	first, second := old, next
	first.Filter = next.Filter
	if len(earlier) > 0 || !reflect.DeepEqual(old.Filter, next.Filter) {
		t := newTransition(&old, &next, earlier)
		first.Filter, second.Filter = t.filter(&before, false), t.filter(&after, false)
		if !fits(first.Filter, old.Routes) {
			if merged := t.filter(&before, true); fits(merged, old.Routes) && fits(merged, next.Routes) {
				first.Filter = merged
			}
		}
	}
	first.Upstreams, second.Upstreams = joined(old.Upstreams, next.Upstreams), joined(next.Upstreams, old.Upstreams)
	s := Steps{Now: []Options{first, second}}
	if !reflect.DeepEqual(second.Filter, next.Filter) || len(second.Upstreams) > len(next.Upstreams) {
		s.Later = &next
	}
	return s
}

// joined returns all upstreams of a, and those of b that a has no name for.
func joined(a, b []Upstream) []Upstream {
	all := slices.Clone(a)
	for i := range b {
		if !slices.ContainsFunc(a, func(u Upstream) bool { return u.Name == b[i].Name }) {
			all = append(all, b[i])
		}
	}
	return all
}

// transition is a change of a filter's plugins and of the routes that configure them.
type transition struct {
	old, next []any // plugins of the filters
	document  map[string]any
	were, are []rows // what the routes say of a plugin, one for each and one for requests without a route
	earlier   []configuration
}

// configuration is one that was before old.
type configuration struct {
	plugins []any
	rows    []rows
}

// rows is what a route says of plugins, by id; one that it does not mention is absent.
type rows map[string]document.Plugin

func newTransition(old, next *Options, earlier []Options) *transition {
	t := &transition{
		old: plugins(old.Filter), next: plugins(next.Filter), document: next.Filter,
		were: rowsOf(old.Routes), are: rowsOf(next.Routes),
	}
	for i := range earlier {
		t.earlier = append(t.earlier, configuration{plugins: plugins(earlier[i].Filter), rows: rowsOf(earlier[i].Routes)})
	}
	return t
}

// state is how a filter has a plugin.
type state int

const (
	absent state = iota
	off          // disabled
	on
)

// with reports whether the plugin runs where a filter has it so and a route says what rows have, and whether the two fit:
// a route cannot add a plugin by its id alone.
func (s state) with(r rows, id string) (runs, fits bool) {
	p, named := r[id]
	switch {
	case !named:
		return s == on, true
	case p.Disabled != nil:
		return !*p.Disabled, s != absent || p.Name != "" || *p.Disabled
	case s == absent:
		return true, p.Name != ""
	}
	return s == on, true
}

// costs of a plugin that runs, or does not, where it did not, or did, before the edit or will after it.
type costs struct{ moreThanOld, lessThanOld, moreThanNext, lessThanNext int }

var (
	// Most requests have the routes of old; the others come in a moment.
	before = costs{moreThanOld: 10, lessThanOld: 1, moreThanNext: 2, lessThanNext: 1}
	// The edit has happened, but for requests whose headers come slowly.
	after = costs{moreThanOld: 1, lessThanOld: 1, moreThanNext: 10, lessThanNext: 10}
)

// never is the cost of what must not be: a route that does not fit, or a plugin that is off for a moment though old and next
// both run it, which may be a guard.
const never = 1 << 30

// choose returns the state that a step's filter should have a plugin in.
func (t *transition) choose(id string, c *costs) state {
	was, will := stateOf(t.old, id), stateOf(t.next, id)
	ran := slices.ContainsFunc(t.were, func(r rows) bool { runs, _ := was.with(r, id); return runs })
	runs := slices.ContainsFunc(t.are, func(r rows) bool { runs, _ := will.with(r, id); return runs })
	count := func(s state, all []rows, goal state, elsewhere bool, more, less int) (cost int) {
		for _, r := range all {
			got, fits := s.with(r, id)
			want, _ := goal.with(r, id)
			switch {
			case !fits, want && !got && elsewhere:
				cost += never
			case got && !want:
				cost += more
			case want && !got:
				cost += less
			}
		}
		return cost
	}
	best, least := will, math.MaxInt
	for _, s := range []state{will, off, absent, on} {
		cost := count(s, t.were, was, runs, c.moreThanOld, c.lessThanOld) +
			count(s, t.are, will, ran, c.moreThanNext, c.lessThanNext)
		for _, e := range t.earlier {
			cost += count(s, e.rows, stateOf(e.plugins, id), ran && runs, 0, 0)
		}
		if cost < least {
			best, least = s, cost
		}
	}
	return best
}

// filter returns the document of a step. With merged, what old has of a plugin that next has, too, stays where next says
// nothing.
func (t *transition) filter(c *costs, merged bool) map[string]any {
	var list []any
	add := func(entry any) {
		s := t.choose(entryID(entry), c)
		if s == absent {
			return
		}
		if (s == on) != (stateOf([]any{entry}, entryID(entry)) == on) {
			changed := maps.Clone(entry.(map[string]any))
			changed["disabled"] = s == off
			entry = changed
		}
		list = append(list, entry)
	}
	for _, entry := range t.next {
		if old := find(t.old, entryID(entry)); merged && old != nil {
			entry = over(old, entry)
		}
		add(entry)
	}
	for _, entry := range t.old {
		if find(t.next, entryID(entry)) == nil {
			add(entry)
		}
	}
	if reflect.DeepEqual(list, t.next) {
		return t.document
	}
	d := maps.Clone(t.document)
	if d == nil {
		d = map[string]any{}
	}
	d["plugins"] = list
	return d
}

// over returns entry with the configuration of old below its own.
func over(old, entry any) any {
	var parent, child document.Document
	wrap := func(e any) map[string]any { return map[string]any{"plugins": []any{e}} }
	if document.Decode(wrap(old), &parent) != nil || document.Decode(wrap(entry), &child) != nil {
		return entry
	}
	d, err := (&document.Merger{}).Merge(&parent, &child)
	if err != nil || len(d.Plugins) != 1 {
		return entry
	}
	return d.Data()["plugins"].([]any)[0]
}

func plugins(doc map[string]any) []any {
	list, _ := doc["plugins"].([]any)
	return list
}

// entryID is the id of a plugin in a document; "" if it is none.
func entryID(entry any) string {
	m, _ := entry.(map[string]any)
	if id, _ := m["id"].(string); id != "" {
		return id
	}
	name, _ := m["name"].(string)
	return name
}

// find returns the entry of an id, or nil.
func find(list []any, id string) any {
	if i := slices.IndexFunc(list, func(e any) bool { return entryID(e) == id }); i >= 0 {
		return list[i]
	}
	return nil
}

func stateOf(list []any, id string) state {
	entry, _ := find(list, id).(map[string]any)
	switch disabled, _ := entry["disabled"].(bool); {
	case entry == nil:
		return absent
	case disabled:
		return off
	}
	return on
}

// rowsOf returns what routes, and their consumers, say of plugins.
func rowsOf(routes []Route) []rows {
	all := []rows{{}}
	add := func(list []document.Plugin) {
		r := rows{}
		for _, p := range list {
			r[p.EntryID()] = p
		}
		all = append(all, r)
	}
	for i := range routes {
		var d document.Document
		if routes[i].Doc == nil || document.Decode(routes[i].Doc, &d) != nil {
			continue
		}
		add(d.Plugins)
		for _, c := range d.Consumers {
			add(c.Plugins)
		}
	}
	return all
}
