package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Object is a Kubernetes resource decoded from JSON: maps, slices, strings, float64 and bool.
type Object map[string]any

// Kind returns the kind, such as EnvoyFilter.
func (o Object) Kind() string { s, _ := o["kind"].(string); return s }

// Group returns the API group, such as networking.istio.io; "" is Kubernetes' core group.
func (o Object) Group() string {
	s, _ := o["apiVersion"].(string)
	group, _, ok := strings.Cut(s, "/")
	if !ok {
		return ""
	}
	return group
}

// Name returns metadata.name.
func (o Object) Name() string { return o.meta("name") }

// Namespace returns metadata.namespace.
func (o Object) Namespace() string { return o.meta("namespace") }

// Labels returns a copy of metadata.labels.
func (o Object) Labels() map[string]string { return stringMap(dig(o, "metadata", "labels")) }

// String returns KIND NAMESPACE/NAME.
func (o Object) String() string {
	if o.Namespace() == "" {
		return o.Kind() + " " + o.Name()
	}
	return fmt.Sprintf("%s %s/%s", o.Kind(), o.Namespace(), o.Name())
}

func (o Object) meta(key string) string { return text(dig(o, "metadata", key)) }

// is reports whether the object has that group and kind, in any version.
func (o Object) is(group, kind string) bool { return o.Kind() == kind && o.Group() == group }

// key identifies an object: it is the same in every version of its API.
func (o Object) key() string {
	return strings.Join([]string{o.resource().String(), o.Namespace(), o.Name()}, "/")
}

// resource is a kind as URLs of the Kubernetes API name it.
type resource struct{ group, name string }

func (r resource) String() string {
	if r.group == "" {
		return r.name
	}
	return r.name + "." + r.group
}

func (o Object) resource() resource {
	name := strings.ToLower(o.Kind())
	switch {
	case name == "endpoints":
	case strings.HasSuffix(name, "y") && !strings.HasSuffix(name, "ay"):
		name = strings.TrimSuffix(name, "y") + "ies"
	case strings.HasSuffix(name, "s"):
		name += "es"
	default:
		name += "s"
	}
	return resource{o.Group(), name}
}

// dig returns the value at a path through nested maps, or nil if there is none.
func dig(v any, path ...string) any {
	for _, key := range path {
		switch m := v.(type) {
		case Object:
			v = m[key]
		case map[string]any:
			v = m[key]
		default:
			return nil
		}
	}
	return v
}

func text(v any) string { s, _ := v.(string); return s }

func list(v any) []any { l, _ := v.([]any); return l }

func stringMap(v any) map[string]string {
	m, _ := v.(map[string]any)
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = text(v)
	}
	return out
}

func anyMap(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// clone returns a deep copy of maps and slices.
func clone[T any](v T) T {
	var copied any
	switch v := any(v).(type) {
	case Object:
		out := make(Object, len(v))
		for k, e := range v {
			out[k] = clone(e)
		}
		copied = out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = clone(e)
		}
		copied = out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clone(e)
		}
		copied = out
	default:
		return any(v).(T)
	}
	return copied.(T)
}

// labelText writes labels as Kubernetes' tools do.
func labelText(m map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, k+"="+m[k])
	}
	return strings.Join(parts, ",")
}
