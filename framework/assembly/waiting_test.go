package assembly

import (
	"strings"
	"testing"
)

// Envoy loads a listener's routes before its filters, while others are open.
func TestRouteWaitsForItsFilter(t *testing.T) {
	a, h := fixture(t)
	other := mustFilter(t, a, `plugins: [{name: own}]`)
	defer other.Close()
	for _, c := range []struct{ route, why, filter, ids string }{
		{
			`plugins: [{name: limit, config: {burst: 3}}]`, `plugins[0].config.rate: is required and not 0 (limit)`,
			`plugins: [{name: limit, config: {rate: 1}}]`, "limit",
		},
		{
			`plugins: [{name: own}, {id: x, config: {burst: 3}}]`,
			`plugins[1].id: the filter has no plugin with id "x"; give its name to add one`,
			`plugins: [{name: limit, id: x, config: {rate: 1}}]`, "x own",
		},
	} {
		t.Run(c.route, func(t *testing.T) {
			r := mustRoute(t, a, c.route)
			if !strings.Contains(h.text(), "fits no filter so far") {
				t.Errorf("%s: the log says nothing: %s", c.route, h.text())
			}
			if _, err := other.Chain(r); err == nil || err.Error() != "merged with the filter's configuration: "+c.why {
				t.Errorf("%s through another filter:\n got %v\nwant %s", c.route, err, c.why)
			}
			f := mustFilter(t, a, c.filter)
			if got := ids(t, f, r); got != c.ids {
				t.Errorf("%s: ids(f, r) = %q, want %q", c.route, got, c.ids)
			}
			f.Close()
			r.Close()
		})
	}
}

// A route that is wrong for plugins that a filter has, or that the host cannot run, does not wait.
func TestRouteDoesNotWait(t *testing.T) {
	a, _ := fixture(t)
	f := mustFilter(t, a, `plugins: [{name: own}]`)
	defer f.Close()
	for _, c := range []struct{ route, want string }{
		{`plugins: [{name: greedy}]`, `needs CanPipePromptly`},
		{`plugins: [{name: limit}, {id: own, config: {refuse: true}}]`, `plugins[1].config: refuse is not possible here`},
		{`plugins: [{name: limit, config: {rate: 1, fail: provision}}]`, `plugins[0]: cannot reach`},
	} {
		t.Run(c.route, func(t *testing.T) {
			if _, err := a.Route(ChainName, doc(t, c.route)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s:\n got %v\nwant %s", c.route, err, c.want)
			}
		})
	}
}

// Where no filter was there to check a route with, the first that has its plugins is the one to tell.
func TestMisfitIsTold(t *testing.T) {
	a, h := fixture(t)
	r := mustRoute(t, a, `plugins: [{id: own, config: {refuse: true}}]`)
	defer r.Close()
	lacking := mustFilter(t, a, `plugins: [{name: limit, config: {rate: 1}}]`)
	defer lacking.Close()
	if s := h.text(); strings.Contains(s, "fits no filter") {
		t.Errorf("a filter without the plugin is held to the route: %s", s)
	}
	f := mustFilter(t, a, `plugins: [{name: own}]`)
	defer f.Close()
	if s := h.text(); !strings.Contains(s, "refuse is not possible here") {
		t.Errorf("the log says nothing: %s", s)
	}
}
