package bootstrap

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
)

// stepsOptions reads a filter's plugins and one list of plugins for each route.
func stepsOptions(t *testing.T, filter string, routes ...string) Options {
	t.Helper()
	read := func(text string) map[string]any {
		data, err := config.Parse([]byte("plugins: " + text))
		if err != nil {
			t.Fatalf("config.Parse(%s): %v", text, err)
		}
		return data.(map[string]any)
	}
	o := Options{Filter: read(filter)}
	for i, r := range routes {
		o.Routes = append(o.Routes, Route{Name: fmt.Sprint(i), Doc: read(r)})
	}
	return o
}

// mergedPlugins returns the plugins of a route by id: true is one that runs, false one that is disabled. It reports an
// entry without a plugin, which Envoy's requests get a 500 for.
func mergedPlugins(t *testing.T, filter, route map[string]any) (runs map[string]bool, ok bool) {
	t.Helper()
	var parent, child document.Document
	if err := errors.Join(document.Decode(filter, &parent), document.Decode(route, &child)); err != nil {
		t.Fatalf("document.Decode: %v", err)
	}
	merged, err := (&document.Merger{}).Merge(&parent, &child)
	if err != nil {
		t.Fatalf("Merge: %v", err)
	}
	runs, ok = map[string]bool{}, true
	for _, p := range merged.Plugins {
		runs[p.EntryID()] = !p.Off()
		ok = ok && (p.Name != "" || p.Off())
	}
	return runs, ok
}

func fitting(t *testing.T) func(map[string]any, []Route) bool {
	return func(filter map[string]any, routes []Route) bool {
		for _, r := range routes {
			if _, ok := mergedPlugins(t, filter, r.Doc); !ok {
				return false
			}
		}
		return true
	}
}

func TestSteps(t *testing.T) {
	for _, c := range []struct {
		name, old, oldRoute, next, nextRoute string
		want                                 []string // plugins of the steps
	}{
		{
			name: "nothing", old: "[{name: a}]", oldRoute: "[]", next: "[{name: a}]", nextRoute: "[]",
			want: []string{"[{name: a}]", "[{name: a}]"},
		},
		{
			name: "a plugin that a route configures is removed",
			old:  "[{name: a}, {name: b}]", oldRoute: "[{id: a, config: {x: 1}}]", next: "[{name: b}]", nextRoute: "[]",
			want: []string{"[{name: b}, {name: a, disabled: true}]", "[{name: b}, {name: a, disabled: true}]", "[{name: b}]"},
		},
		{
			name: "a plugin that a route disables is added",
			old:  "[]", oldRoute: "[]", next: "[{name: a}]", nextRoute: "[{id: a, disabled: true}]",
			want: []string{"[{name: a, disabled: true}]", "[{name: a}]"},
		},
		{
			name: "a plugin goes from the filter to a route",
			old:  "[{name: a, config: {x: 1}}]", oldRoute: "[]", next: "[]", nextRoute: "[{name: a}]",
			want: []string{"[{name: a, config: {x: 1}}]", "[{name: a, config: {x: 1}}]", "[]"},
		},
		{
			name: "a plugin goes from a route to the filter",
			old:  "[]", oldRoute: "[{name: a}]", next: "[{name: a}]", nextRoute: "[]",
			want: []string{"[{name: a}]", "[{name: a}]"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			next := stepsOptions(t, c.next, c.nextRoute)
			s := NewSteps(stepsOptions(t, c.old, c.oldRoute), next, fitting(t))
			if s.Later != nil {
				s.Now = append(s.Now, *s.Later)
			}
			var got, want []any
			for _, o := range s.Now {
				got = append(got, plugins(o.Filter))
			}
			for _, text := range c.want {
				want = append(want, plugins(stepsOptions(t, text).Filter))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the plugins of the steps (-want +got):\n%s", diff)
			}
		})
	}
}

// What old and next need differently of one plugin is there in the step between.
func TestStepsMergeConfigurations(t *testing.T) {
	old := stepsOptions(t, "[{name: a, config: {x: 1}}]", "[{id: a, config: {y: 1}}]")
	next := stepsOptions(t, "[{name: a, config: {y: 2}}]", "[{id: a, config: {x: 2}}]")
	s := NewSteps(old, next, func(filter map[string]any, routes []Route) bool {
		for _, r := range routes {
			var parent, child document.Document
			document.Decode(filter, &parent)
			document.Decode(r.Doc, &child)
			d, err := (&document.Merger{}).Merge(&parent, &child)
			if err != nil || len(d.Plugins) != 1 || d.Plugins[0].Config["x"] == nil || d.Plugins[0].Config["y"] == nil {
				return false
			}
		}
		return true
	})
	want := stepsOptions(t, "[{name: a, config: {x: 1, y: 2}}]")
	if diff := cmp.Diff(plugins(want.Filter), plugins(s.Now[0].Filter)); diff != "" {
		t.Errorf("the first step's plugins (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(next.Filter, s.Now[1].Filter); diff != "" {
		t.Errorf("the second step's document (-want +got):\n%s", diff)
	}
}

func TestStepsKeepUpstreams(t *testing.T) {
	old := Options{Upstreams: []Upstream{{Name: "a"}, {Name: "b", Protocol: "http1"}}}
	next := Options{Upstreams: []Upstream{{Name: "b", Protocol: "http2"}, {Name: "c"}}}
	s := NewSteps(old, next, fitting(t))
	var got [][]string
	for _, o := range append(s.Now, *s.Later) {
		var names []string
		for _, u := range o.Upstreams {
			names = append(names, u.Name+u.Protocol)
		}
		got = append(got, names)
	}
	want := [][]string{{"a", "bhttp1", "c"}, {"bhttp2", "c", "a"}, {"bhttp2", "c"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the upstreams of the steps (-want +got):\n%s", diff)
	}
}

// A request may meet the filter of one step and the routes of the one before, or of the one before that. Whatever the
// edit is, its route's configuration then fits, and no plugin that old and next both run for it is off.
func TestStepsLeaveNoGap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	list := func(route bool) string {
		text := ""
		for _, id := range []string{"a", "b", "c"} {
			switch random.IntN(5) {
			case 0:
				text += "{name: " + id + "},"
			case 1:
				text += "{name: " + id + ", disabled: true},"
			case 2:
				text += "{name: " + id + ", disabled: false},"
			case 3:
				if route {
					text += "{id: " + id + ", config: {x: 1}},"
				}
			}
		}
		return "[" + text + "]"
	}
	fit := fitting(t)
	draw := func() Options {
		for {
			if o := stepsOptions(t, list(false), list(true), list(true)); fit(o.Filter, o.Routes) {
				return o
			}
		}
	}
	for range 300 {
		earlier, old, next := draw(), draw(), draw()
		old.Filter = NewSteps(earlier, old, fit).Now[1].Filter // as it stays for a time
		s := NewSteps(old, next, fit, earlier)
		if !fit(s.Now[0].Filter, earlier.Routes) || !fit(s.Now[1].Filter, earlier.Routes) {
			t.Fatalf("a route of %v does not fit the filter of a step, from %v to %v by %v", earlier, old, next, s)
		}
		if !fit(s.Now[0].Filter, old.Routes) || !fit(s.Now[0].Filter, next.Routes) || !fit(s.Now[1].Filter, old.Routes) ||
			!fit(s.Now[1].Filter, next.Routes) {
			t.Fatalf("a route does not fit the filter of a step, from %v to %v by %v", old, next, s)
		}
		if gap := gapOf(t, &old, &next, s.Now); gap != "" {
			t.Fatalf("%s, from %v to %v by %v", gap, old, next, s)
		}
	}
}

// Edits may follow each other while requests still have the routes from before the first.
func TestStepsFitEarlierRoutes(t *testing.T) {
	for _, c := range []struct {
		name, filter, route string // before both edits
		old, oldRoute       string // between them
		next, nextRoute     string
		want                string // plugins while a request may have the first route
	}{
		{
			name: "a plugin is removed, then something else is edited", filter: "[{name: a}]", route: "[{id: a, config: {x: 1}}]",
			old: "[{name: a, disabled: true}]", oldRoute: "[]", next: "[{name: b}]", nextRoute: "[]",
			want: "[{name: b}, {name: a, disabled: true}]",
		},
		{
			name: "a plugin is removed from the route, then from the filter", filter: "[{name: a}]", route: "[{id: a, config: {x: 1}}]",
			old: "[{name: a}]", oldRoute: "[]", next: "[]", nextRoute: "[]", want: "[{name: a, disabled: true}]",
		},
		{
			name: "a plugin is removed, then a route is edited", filter: "[{name: a}]", route: "[{id: a, config: {x: 1}}]",
			old: "[{name: a, disabled: true}]", oldRoute: "[]", next: "[]", nextRoute: "[{name: b}]",
			want: "[{name: a, disabled: true}]",
		},
		{
			name: "a guard moves to a route, then something else is edited", filter: "[{name: a}]", route: "[]",
			old: "[{name: a}]", oldRoute: "[{name: a}]", next: "[{name: b}]", nextRoute: "[{name: a}]",
			want: "[{name: b}, {name: a}]",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			earlier, next := stepsOptions(t, c.filter, c.route), stepsOptions(t, c.next, c.nextRoute)
			s := NewSteps(stepsOptions(t, c.old, c.oldRoute), next, fitting(t), earlier)
			if diff := cmp.Diff(plugins(stepsOptions(t, c.want).Filter), plugins(s.Now[1].Filter)); diff != "" {
				t.Errorf("the plugins of the second step (-want +got):\n%s", diff)
			}
			for i, o := range s.Now {
				if !fitting(t)(o.Filter, earlier.Routes) {
					t.Errorf("step %d: the route from before does not fit %v", i, o.Filter)
				}
			}
			if s.Later == nil {
				t.Fatal("got no step for later, want one")
			}
			if diff := cmp.Diff(next.Filter, s.Later.Filter); diff != "" {
				t.Errorf("the last step's document (-want +got):\n%s", diff)
			}
		})
	}
}

// gapOf returns a plugin that does not run though old and next both run it, or "".
func gapOf(t *testing.T, old, next *Options, steps []Options) string {
	t.Helper()
	for i := range old.Routes {
		before, _ := mergedPlugins(t, old.Filter, old.Routes[i].Doc)
		after, _ := mergedPlugins(t, next.Filter, next.Routes[i].Doc)
		for n := range steps {
			for _, routes := range [][]Route{old.Routes, next.Routes} {
				runs, _ := mergedPlugins(t, steps[n].Filter, routes[i].Doc)
				for id := range before {
					if before[id] && after[id] && !runs[id] {
						return fmt.Sprintf("plugin %s of route %d does not run in step %d with %v", id, i, n, routes)
					}
				}
			}
		}
	}
	return ""
}
