package istio

import (
	"cmp"
	"io"

	clientv1alpha3 "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"mosn.io/moe/pkg/istio/internal/diff"
	"mosn.io/moe/pkg/istio/internal/envoyfilter"
	"mosn.io/moe/pkg/istio/internal/explain"
	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/internal/mesh"
	"mosn.io/moe/pkg/istio/internal/plan"
	"mosn.io/moe/pkg/istio/internal/policy"
	"mosn.io/moe/pkg/istio/internal/render"
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

// Options are what the result depends on besides the input.
type Options struct {
	RootNamespace string // of Istio: policies there are for all namespaces; "" is istio-system
	Namespace     string // of objects that name none; "" is default
}

// Result is what policies come to.
type Result struct {
	// EnvoyFilters, by namespace and name. They are the same for the same objects in any order.
	EnvoyFilters []*clientv1alpha3.EnvoyFilter

	made *plan.Plan
}

// Generate makes the EnvoyFilters of the policies in the input. The error is an [Errors] with everything that is
// wrong; there is no result then. Generate does not change the input and may be called from any goroutine.
func Generate(in *Input, o Options) (*Result, error) {
	o.RootNamespace = cmp.Or(o.RootNamespace, "istio-system")
	o.Namespace = cmp.Or(o.Namespace, "default")
	var p manifest.Problems
	made := plan.Make(mesh.Read(in, o.Namespace, &p), policy.ReadAll(in, o.Namespace, &p), o.RootNamespace, &p)
	if err := p.Err(); err != nil {
		return nil, err
	}
	r := &Result{EnvoyFilters: render.EnvoyFilters(made, o.RootNamespace, &p), made: made}
	if err := p.Err(); err != nil {
		return nil, err
	}
	return r, nil
}

// YAML returns the EnvoyFilters as one text for kubectl.
func (r *Result) YAML() ([]byte, error) { return render.YAML(r.EnvoyFilters) }

// Explain describes in plain text which chain requests get and, for each part, which policy has decided it: first for all
// requests of each set of proxies, and then for each virtual host and route that has a chain of its own. match restricts
// it to a route of that name and to what takes requests for that host; "" is everything. It shows no values.
func (r *Result) Explain(match string) string { return explain.Text(r.made, match) }

// Warnings returns what works and is likely not meant, such as a route that disables a guard and takes more requests than
// its path tells.
func (r *Result) Warnings() Errors { return r.made.Warnings() }

// Diff compares the result with EnvoyFilters that are applied, those of the input that have MoE's label. It returns what
// differs, by namespace and name. What Kubernetes adds to an object makes no difference.
func (r *Result) Diff(applied *Input) ([]diff.Change, error) {
	return diff.EnvoyFilters(r.EnvoyFilters, applied)
}

// Validate checks every EnvoyFilter of the input, whoever wrote it: it decodes each strictly, down to the last field of
// every patch's value, and checks it against what Istio requires and what Envoy's definitions do. Istio itself drops fields
// that it does not know, with a warning or silently. The error is an [Errors]; warnings are about what works and is likely
// not meant.
func Validate(in *Input) (warnings Errors, err error) { return envoyfilter.Validate(in) }

// Change is how one EnvoyFilter differs from what is applied.
type Change = diff.Change

// JSON returns an EnvoyFilter as Kubernetes takes it, without the fields that only Kubernetes fills.
func JSON(ef *clientv1alpha3.EnvoyFilter) ([]byte, error) { return render.JSON(ef) }

// Mounts returns the Secrets that the policies of the input mount, each path once, even if policies for different proxies
// contradict each other.
func Mounts(in *Input) []v1alpha1.SecretMount { return policy.Mounts(in) }

// SecretMounts returns the Secrets that the policies of the input mount, by name. Two policies that mount one Secret at
// different paths, or two Secrets at one path, are an error.
func SecretMounts(in *Input) ([]v1alpha1.SecretMount, error) { return policy.SecretMounts(in) }
