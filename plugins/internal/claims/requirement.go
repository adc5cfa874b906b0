package claims

import "slices"

// Requirement is what a claim must say.
type Requirement struct {
	// Claim is its name, or the names of nested ones joined by dots.
	Claim string `json:"claim" validate:"required"`
	// AnyOf are values of which it must have one. A list has each of its elements, a scope each of its words.
	AnyOf []string `json:"anyOf"`
	// AllOf are values of which it must have all. Without either it must just be there.
	AllOf []string `json:"allOf"`
}

// Met reports whether the claims of a token say it.
func (r *Requirement) Met(ms []Member) bool {
	value := Find(ms, r.Claim)
	if value == nil || value[0] == 'n' {
		return false
	}
	if len(r.AnyOf)+len(r.AllOf) == 0 {
		return true
	}
	has := Words(r.Claim, value)
	for _, want := range r.AllOf {
		if !slices.Contains(has, want) {
			return false
		}
	}
	return len(r.AnyOf) == 0 || slices.ContainsFunc(r.AnyOf, func(w string) bool { return slices.Contains(has, w) })
}
