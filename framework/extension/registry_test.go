package extension

import (
	"reflect"
	"strings"
	"testing"
)

type someConfig struct{}

// Whoever looks plugins up sees all that there will be: a plugin that comes later would be missing there.
func TestRegistryIsComplete(t *testing.T) {
	add := func(g *Registry[*Registration], name string) error {
		return g.Add(&Registration{Name: name, Config: reflect.TypeFor[someConfig]()})
	}
	for name, look := range map[string]func(g *Registry[*Registration]){
		"Lookup":     func(g *Registry[*Registration]) { g.Lookup("none") },
		"LookupType": func(g *Registry[*Registration]) { g.LookupType(reflect.TypeFor[int]()) },
		"All":        func(g *Registry[*Registration]) { g.All() },
	} {
		t.Run(name, func(t *testing.T) {
			var g Registry[*Registration]
			if err := add(&g, "early"); err != nil {
				t.Fatalf("Add before a look: %v", err)
			}
			look(&g)
			err := add(&g, "late")
			if want := "late: registered after plugins were looked up: register it in an init function of " +
				"mosn.io/moe/framework/extension"; err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("Add after a look: got error %v, want one that begins with %q", err, want)
			}
			if g.Lookup("early") == nil || g.Lookup("late") != nil {
				t.Errorf("got early %v and late %v, want the early one alone", g.Lookup("early"), g.Lookup("late"))
			}
		})
	}
}
