package assembly

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/filter"
)

const withSecrets = `{plugins: [{name: own}], generic_secrets: [{name: a}, {name: b, sds_config: {ads: {}}}]}`

func TestSecrets(t *testing.T) {
	a, _ := fixture(t)
	f := mustFilter(t, a, withSecrets)
	defer f.Close()
	want := []GenericSecret{
		{Path: "generic_secrets[0]", Name: "a"},
		{Path: "generic_secrets[1]", Name: "b", Source: map[string]any{"ads": map[string]any{}}},
	}
	if diff := cmp.Diff(want, f.Secrets()); diff != "" {
		t.Errorf("Secrets (-want +got):\n%s", diff)
	}
	for text, name := range map[string]string{`plugins: [{name: own}]`: ChainName, ``: "own"} {
		t.Run(fmt.Sprintf("%q", text), func(t *testing.T) {
			f, err := a.Filter(name, doc(t, text))
			if err != nil {
				t.Fatalf("a.Filter: %v", err)
			}
			if got := f.Secrets(); got != nil {
				t.Errorf("%s has %+v", name, got)
			}
			f.Close()
		})
	}
	const inRoute = "generic_secrets: belongs to the filter, whose streams may ask for all of them; list them there"
	route := doc(t, `generic_secrets: [{name: c}]`)
	if _, err := a.Route(ChainName, route); err == nil || err.Error() != inRoute {
		t.Errorf("a.Route(ChainName, route) succeeded, want an error; got %v, want err.Error() %q", err, inRoute)
	}
	if err := ValidateRoute(ChainName, doc(t, withSecrets), route, host1); err == nil || err.Error() != inRoute {
		t.Errorf("ValidateRoute(…) succeeded, want an error; got %v, want err.Error() %q", err, inRoute)
	}
}

// lister is a host with its own word about lists of secrets.
type lister struct {
	*host
	err error
}

func (l *lister) MayListSecrets() error { return l.err }

func TestSecretsRefused(t *testing.T) {
	const lacks = "generic_secrets: needs Secrets, which this host cannot; docs/hosts.md tells which can"
	if err := Validate(ChainName, doc(t, withSecrets), ^filter.CanReadSecret); err == nil || err.Error() != lacks {
		t.Errorf("Validate(…) succeeded, want an error; got %v, want err.Error() %q", err, lacks)
	}
	for text, refused := range map[string]bool{
		withSecrets:              true,
		`plugins: [{name: own}]`: false,
		`{plugins: [{name: own}], generic_secrets: []}`: false,
	} {
		t.Run(text, func(t *testing.T) {
			a := New(&lister{&host{name: t.Name()}, errors.New("not here")})
			f, err := a.Filter(ChainName, doc(t, text))
			if refused != (err != nil && err.Error() == "generic_secrets: not here") || !refused && err != nil {
				t.Errorf("%s: got error %v, want refused = %t", text, err, refused)
			}
			if err == nil {
				f.Close()
			}
		})
	}
}
