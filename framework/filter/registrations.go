package filter

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
)

// Lookup returns the registration of a plugin by its name, or nil.
func Lookup(name string) *Registration {
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	return registry.m[name]
}

// LookupType returns the registration of the plugin whose struct is t, or nil.
func LookupType(t reflect.Type) *Registration {
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	for _, r := range registry.m {
		if r.Config == t {
			return r
		}
	}
	return nil
}

// Registrations returns the plugins that are compiled in, by name.
func Registrations() []*Registration {
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	return slices.SortedFunc(maps.Values(registry.m), func(a, b *Registration) int { return cmp.Compare(a.Name, b.Name) })
}

var stageNames = []string{"access", "authn", "authz", "traffic", "transform", "observe"}

// String returns the stage's name as configurations and docs spell it.
func (s Stage) String() string {
	if s < 0 || int(s) >= len(stageNames) {
		return "unknown"
	}
	return stageNames[s]
}
