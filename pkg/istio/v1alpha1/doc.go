// Package v1alpha1 holds the types of moe.mosn.io/v1alpha1: the policies that `moe istio` turns into EnvoyFilters.
//
// Their JSON schema, the CRD manifest and the reference in docs/istio-reference.md are generated from the structs, their
// tags and their comments by `go run ./internal/cmd/schemagen`.
package v1alpha1

import _ "embed"

// Group, Version and Kind name the one kind there is; APIVersion is what a manifest says.
const (
	Group      = "moe.mosn.io"
	Version    = "v1alpha1"
	Kind       = "FilterPolicy"
	APIVersion = Group + "/" + Version
)

//go:embed crd.yaml
var crd []byte

//go:embed schema.json
var schema []byte

// CRD returns the manifest of the CustomResourceDefinition, as YAML. The caller may change it.
func CRD() []byte { return append([]byte(nil), crd...) }

// Schema returns the JSON Schema (draft 2020-12) of a FilterPolicy. The caller may change it.
func Schema() []byte { return append([]byte(nil), schema...) }
