package assembly

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// claim tells the upstream who the caller is in a header.
type claim struct {
	Header string `json:"header" validate:"required"`
}

func (c *claim) OwnsRequestHeaders() []string { return []string{c.Header} }

func (c *claim) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	h.Set(c.Header, "set by claim")
	return filter.Continue
}

func init() { filter.Register[claim]("claim", filter.Authn) }

// upstreamSees sends a request with header x-user of the client's through the chain for r, and returns what the upstream
// gets of it.
func upstreamSees(t *testing.T, f *Filter, r *Route, name string) (values []string) {
	t.Helper()
	c, err := f.Chain(r)
	if err != nil {
		t.Fatalf("Chain: got error %v, want none", err)
	}
	st := c.Start(quietHost{}, &countingSink{})
	defer st.Done()
	b := &st.H[core.RequestHeaders]
	b.Fields = append(b.Fields, core.Field{Name: name, Value: "forged"})
	b.Present = true
	st.Headers(core.Request, true)
	for _, field := range b.Fields {
		values = append(values, field.Name+": "+field.Value)
	}
	return values
}

// A header that a plugin owns is taken from clients wherever the plugin stands in the document, running or not.
func TestOwnedHeadersOfEveryEntry(t *testing.T) {
	for _, c := range []struct {
		name, doc, route, sent string
		want                   []string
	}{
		{
			name: "the plugin runs", doc: `plugins: [{name: claim, config: {header: X-User}}]`, sent: "x-user",
			want: []string{"x-user: set by claim"},
		},
		{
			name: "written with an underscore", doc: `plugins: [{name: claim, config: {header: X-User}}]`, sent: "x_user",
			want: []string{"x-user: set by claim"},
		},
		{
			name: "disabled on the route", doc: `plugins: [{name: claim, config: {header: X-User}}, {name: own}]`,
			route: `plugins: [{id: claim, disabled: true}]`, sent: "x-user",
		},
		{
			name: "everything disabled on the route", doc: `plugins: [{name: claim, config: {header: X-User}}]`,
			route: `plugins: [{id: claim, disabled: true}]`, sent: "x-user",
		},
		{
			name: "disabled in the filter", doc: `plugins: [{name: claim, disabled: true, config: {header: X-User}}, {name: own}]`,
			sent: "x-user",
		},
		{
			name: "another header on the route", doc: `plugins: [{name: claim, config: {header: X-User}}]`,
			route: `plugins: [{id: claim, config: {header: x-other}}]`, sent: "x-other",
			want: []string{"x-other: set by claim"},
		},
		{
			name: "a header that nobody owns", doc: `plugins: [{name: claim, config: {header: X-User}}]`, sent: "x-free",
			want: []string{"x-free: forged", "x-user: set by claim"},
		},
		{
			name: "the consumer header where authentication is disabled", doc: `{plugins: [{name: key}, {name: own}], consumerHeader: X-Who}`,
			route: `plugins: [{id: key, disabled: true}]`, sent: "x-who",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, _ := fixture(t)
			f := mustFilter(t, a, c.doc)
			defer f.Close()
			var r *Route
			if c.route != "" {
				r = mustRoute(t, a, c.route)
				defer r.Close()
			}
			if diff := cmp.Diff(c.want, upstreamSees(t, f, r, c.sent)); diff != "" {
				t.Errorf("the upstream's headers (-want +got):\n%s", diff)
			}
		})
	}
}
