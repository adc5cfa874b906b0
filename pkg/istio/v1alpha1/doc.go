// Package v1alpha1 holds the types of moe.mosn.io/v1alpha1: the policies that `moe istio` turns into EnvoyFilters.
//
// Their JSON schema, the CRD manifest and the reference in docs/istio-reference.md are generated from the structs, their
// tags and their comments by `go run ./internal/istiogen`.
package v1alpha1

// Group, Version and Kind name the one kind there is; APIVersion is what a manifest says.
const (
	Group      = "moe.mosn.io"
	Version    = "v1alpha1"
	Kind       = "FilterPolicy"
	APIVersion = Group + "/" + Version
)
