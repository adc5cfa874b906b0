package extension

import (
	"fmt"
	"io"
	"reflect"
)

// A configuration, which is a pointer to a plugin's struct, may have these methods. They are called in this order, and
// last of all the Close of io.Closer, once no stream uses the configuration any more.
type (
	// Merger replaces the default merge of a route's or consumer's configuration over its parent's: objects merge, the
	// rest replaces, lists tagged `merge:"append"` append. It sees what was written, before decoding, so that an absent
	// field is not taken for zero. It is called on a zero value.
	Merger interface {
		Merge(parent, child map[string]any) (map[string]any, error)
	}
	// Validator checks a decoded configuration, after the `validate` tags. It may keep in the configuration what it has
	// worked out from the fields, for Provision to use. It touches nothing else, no file and no network: `moe validate`
	// calls it, and it may be called without a Provision that follows.
	Validator interface{ Validate() error }
	// Provisioner sets up clients, caches and metrics, once per distinct configuration.
	Provisioner interface{ Provision(env *Env) error }
)

// lifecycle has the methods by which the framework finds them.
var lifecycle = []reflect.Type{
	reflect.TypeFor[Merger](), reflect.TypeFor[Validator](), reflect.TypeFor[Provisioner](), reflect.TypeFor[io.Closer](),
}

// checkLifecycle reports a method of t that has the name of one of the lifecycle and another signature: it would never
// be called.
func checkLifecycle(t reflect.Type) error {
	for _, want := range lifecycle {
		method := want.Method(0)
		if _, ok := t.MethodByName(method.Name); ok && !t.Implements(want) {
			return fmt.Errorf("%v.%s must be %v", t, method.Name, method.Type)
		}
	}
	return nil
}
