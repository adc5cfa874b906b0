package filter

import (
	"cmp"
	"maps"
	"slices"
)

// Registrations returns the plugins that are compiled in, by name.
func Registrations() []*Registration {
	return slices.SortedFunc(maps.Values(registry), func(a, b *Registration) int { return cmp.Compare(a.Name, b.Name) })
}

var stageNames = []string{"access", "authn", "authz", "traffic", "transform", "observe"}

// String returns the stage's name as configurations and docs spell it.
func (s Stage) String() string {
	if s < 0 || int(s) >= len(stageNames) {
		return "unknown"
	}
	return stageNames[s]
}
