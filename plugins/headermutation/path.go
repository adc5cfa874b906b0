package headermutation

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/fieldname"
	"mosn.io/moe/plugins/internal/format"
)

// Rewrite changes the path of requests, without the query.
type Rewrite struct {
	// Pattern is a regular expression (RE2) for a part of the path. All parts that match are replaced.
	Pattern *regexp.Regexp `json:"pattern" validate:"required"`
	// Replace replaces what matches; $1 and ${name} stand for groups of the pattern.
	Replace string `json:"replace"`
}

// QueryMutations change the query of requests, in this order. Set and Add go by name in alphabetical order. What they do not
// name stays as it was sent.
type QueryMutations struct {
	// Remove lists parameters to remove, by name.
	Remove []string `json:"remove" merge:"append"`
	// Set gives parameters one value each, in place of all that they have.
	Set map[string]string `json:"set"`
	// Add gives parameters one more value each.
	Add map[string]string `json:"add"`
}

// target is compiled Rewrites and QueryMutations.
type target struct {
	rewrites []Rewrite
	remove   []string
	put      []parameter
	timed    bool
}

type parameter struct {
	name  string
	value *format.Format
	set   bool // in place of others
}

func compileTarget(rewrites []Rewrite, q *QueryMutations, fail func(path string, err error)) (t target) {
	for i, r := range rewrites {
		if r.Pattern == nil || r.Pattern.String() == "" {
			fail(fmt.Sprintf("rewrite[%d].pattern", i), errors.New("must not be empty"))
		}
		if strings.ContainsAny(r.Replace, "?#") || !fieldname.ValidValue(r.Replace) {
			fail(fmt.Sprintf("rewrite[%d].replace", i), errors.New("must not have a query, a fragment or a line break: use query"))
		}
	}
	t.rewrites = rewrites
	for i, name := range q.Remove {
		if name == "" {
			fail(fmt.Sprintf("query.remove[%d]", i), errors.New("must not be empty"))
		}
	}
	t.remove = q.Remove
	for _, x := range []struct {
		field  string
		values map[string]string
		set    bool
	}{{"set", q.Set, true}, {"add", q.Add, false}} {
		for _, name := range slices.Sorted(maps.Keys(x.values)) {
			f, err := format.Parse(x.values[name])
			if err != nil {
				fail("query."+x.field+"."+name, err)
			}
			t.put = append(t.put, parameter{name, f, x.set})
			t.timed = t.timed || f.NeedsStart()
		}
	}
	return t
}

func (t *target) empty() bool { return len(t.rewrites)+len(t.remove)+len(t.put) == 0 }

// values fills in the parameters' values, before anything is changed.
func (t *target) values(s filter.Stream, room []string) []string {
	for i := range t.put {
		room = append(room, t.put[i].value.Of(s))
	}
	return room
}

// run changes the path and the query of a request. A path that is not one after that is counted, and stays as it was.
func (t *target) run(h filter.RequestHeaders, values []string, invalid *filter.Counter) {
	before := h.Path()
	path, query, has := strings.Cut(before, "?")
	if len(path) == 0 || path[0] != '/' { // * of OPTIONS, or CONNECT
		return
	}
	for _, r := range t.rewrites {
		next := r.Pattern.ReplaceAllString(path, r.Replace)
		if next == "" || next[0] != '/' || strings.ContainsAny(next, "?# ") {
			invalid.Inc()
			continue
		}
		path = next
	}
	if len(t.remove)+len(t.put) > 0 {
		query = t.query(query, values)
		has = query != ""
	}
	if has {
		path += "?" + query
	}
	if path != before {
		h.SetPath(path)
	}
}

// query returns a query with the mutations.
func (t *target) query(query string, values []string) string {
	var list []string
	if query != "" {
		list = strings.Split(query, "&")
	}
	without := func(name string) {
		list = slices.DeleteFunc(list, func(p string) bool {
			n, _, _ := strings.Cut(p, "=")
			plain, err := url.QueryUnescape(n)
			return n == name || err == nil && plain == name
		})
	}
	for _, name := range t.remove {
		without(name)
	}
	for i, value := range values {
		p := &t.put[i]
		if value == "" && !p.value.Constant() { // as with headers: nothing is known, so nothing changes
			continue
		}
		if p.set {
			without(p.name)
		}
		list = append(list, url.QueryEscape(p.name)+"="+url.QueryEscape(value))
	}
	return strings.Join(list, "&")
}
