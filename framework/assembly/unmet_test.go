package assembly

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnmet(t *testing.T) {
	const filterDoc = `plugins: [{name: key}, {name: limit, id: slow, config: {rate: 1}}, {name: own, disabled: true}]`
	for _, c := range []struct {
		name, doc string
		routes    []string
		own       string
		ofRoutes  []string
	}{
		{name: "nothing names anything", doc: filterDoc},
		{name: "an id that is there", routes: []string{`plugins: [{id: slow, disabled: true}]`}, ofRoutes: []string{""}},
		{name: "one that the filter disables", routes: []string{`plugins: [{id: own, disabled: true}]`}, ofRoutes: []string{""}},
		{
			name: "a misspelt id", routes: []string{`plugins: [{id: slwo, disabled: true}]`},
			ofRoutes: []string{`plugins[0].id: disables nothing: the filter has no plugin with id "slwo"; did you mean "slow"?`},
		},
		{
			name: "the name where the entry has an id", routes: []string{`plugins: [{name: limit, disabled: true}]`},
			ofRoutes: []string{`plugins[0]: disables nothing: the filter has no plugin with id "limit"; ` +
				`did you mean "slow", the id of its limit?`},
		},
		{
			name: "an id that another route adds",
			routes: []string{
				`plugins: [{name: limit, id: fast, config: {rate: 9}}]`, `plugins: [{id: fast, disabled: true}]`,
			},
			ofRoutes: []string{"", ""},
		},
		{
			name: "an id that another route disables only",
			routes: []string{
				`plugins: [{name: limit, id: fast, disabled: true}]`, `plugins: [{id: fast, disabled: true}]`,
			},
			ofRoutes: []string{
				`plugins[0].id: disables nothing: the filter has no plugin with id "fast"`,
				`plugins[0].id: disables nothing: the filter has no plugin with id "fast"`,
			},
		},
		{
			name: "a consumer's plugin", doc: filterDoc + "\nconsumers: [{name: a, plugins: [{id: slo, disabled: true}]}]",
			own: `consumers[0].plugins[0].id: disables nothing: the filter has no plugin with id "slo"; did you mean "slow"?`,
		},
		{
			name: "credentials of a plugin that is not there",
			doc:  "plugins: [{name: own}]\nconsumers: [{name: a, credentials: {key: {key: x}}}]",
			own:  `consumers[0].credentials.key: the chain has no plugin "key"; add the plugin, or remove the credential`,
		},
		{
			name:   "credentials of a plugin that a route adds",
			doc:    "plugins: [{name: own}]\nconsumers: [{name: a, credentials: {key: {key: x}}}]",
			routes: []string{`plugins: [{name: key}]`}, ofRoutes: []string{""},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := c.doc
			if text == "" {
				text = filterDoc
			}
			var routes []any
			for _, r := range c.routes {
				routes = append(routes, doc(t, r))
			}
			own, ofRoutes := Unmet(ChainName, doc(t, text), routes...)
			if got := own.Error(); got != c.own {
				t.Errorf("of the filter: got %q, want %q", got, c.own)
			}
			var got []string
			for _, es := range ofRoutes {
				got = append(got, es.Error())
			}
			if diff := cmp.Diff(c.ofRoutes, got); diff != "" {
				t.Errorf("of the routes (-want +got):\n%s", diff)
			}
		})
	}
}

// In Envoy, what a route names may come with another filter: it is in force, and the log has a warning at once.
func TestUnmetIsLogged(t *testing.T) {
	for _, c := range []struct {
		name, filter, route string
		routeFirst          bool
		want                string // "": no warning
	}{
		{name: "met", filter: `plugins: [{name: own}]`, route: `plugins: [{id: own, disabled: true}]`},
		{
			name: "not met", filter: `plugins: [{name: own}]`, route: `plugins: [{id: owm, disabled: true}]`,
			want: `no plugin with id \"owm\"; did you mean \"own\"?`,
		},
		{
			name: "not met by a filter that comes later", filter: `plugins: [{name: own}]`, routeFirst: true,
			route: `plugins: [{id: owm, disabled: true}]`, want: `no plugin with id \"owm\"`,
		},
		{
			name: "met by a filter that comes later", filter: `plugins: [{name: own}]`, routeFirst: true,
			route: `plugins: [{id: own, disabled: true}]`,
		},
		{
			name: "a credential", filter: "plugins: [{name: own}]\nconsumers: [{name: a, credentials: {key: {key: hush-hush}}}]",
			want: `the chain has no plugin \"key\"`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, h := fixture(t)
			if c.routeFirst {
				defer mustRoute(t, a, c.route).Close()
			}
			defer mustFilter(t, a, c.filter).Close()
			if !c.routeFirst {
				defer mustRoute(t, a, c.route).Close()
			}
			log := h.text()
			if n := strings.Count(log, "names what nothing has so far"); n != map[bool]int{true: 1}[c.want != ""] {
				t.Errorf("got %d warnings in %s", n, log)
			}
			if !strings.Contains(log, c.want) || strings.Contains(log, "hush-hush") {
				t.Errorf("got the log %s, want %q in it and no secret", log, c.want)
			}
		})
	}
}
