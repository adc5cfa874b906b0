package istio

import (
	"io"

	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/internal/policy"
	"mosn.io/moe/pkg/istio/v1alpha1"
)

// Input is the objects that were read, policies and what they refer to.
type Input = manifest.Input

// Object is a Kubernetes object as it was read.
type Object = manifest.Object

// Error is one thing that is wrong with the input; it has the file and the line.
type Error = manifest.Error

// Errors is everything that is wrong with the input. It is what the functions of this package that read or generate
// return, if they return an error.
type Errors = manifest.Errors

// Load reads files and folders; "-" is stdin. In a folder and those below, it reads all files whose names end in .yaml,
// .yml or .json, in the order of their names, except for hidden ones. The error is an [Errors].
func Load(stdin io.Reader, paths ...string) (*Input, error) { return manifest.Load(stdin, paths...) }

// Parse reads the objects of a text as [Load] would from a file of that name.
func Parse(file string, text []byte) (*Input, error) { return manifest.Parse(file, text) }

// SecretMounts returns the Secrets that the policies of the input mount, by name. Two policies that mount one Secret at
// different paths, or two Secrets at one path, are an error.
func SecretMounts(in *Input) ([]v1alpha1.SecretMount, error) { return policy.SecretMounts(in) }
