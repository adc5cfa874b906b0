package cel

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
)

// variables finds what an expression asks for when it asks, for one evaluation.
type variables struct {
	r       *authz.Request
	mode    *authz.Mode
	names   []authz.Metadata
	headers headers
	made    map[string]any // what takes long to make
}

// Parent returns nil: there are no other variables.
func (v *variables) Parent() interpreter.Activation { return nil }

// ResolveName returns a variable.
func (v *variables) ResolveName(name string) (any, bool) {
	r := v.r
	switch name {
	case "request.method":
		return types.String(r.Method()), true
	case "request.scheme":
		return types.String(r.Headers.Scheme()), true
	case "request.host":
		return types.String(r.Host()), true
	case "request.path":
		return types.String(r.Path), true
	case "request.raw_path":
		return types.String(r.RawPath()), true
	case "request.headers":
		v.headers.r = r
		return &v.headers, true
	case "source.address":
		if a := v.mode.Source(r).Addr(); a.IsValid() {
			return types.String(a.WithZone("").String()), true
		}
		return types.String(""), true
	case "source.port":
		return types.Int(v.mode.Source(r).Port()), true
	case "source.principal":
		return types.String(r.Principal()), true
	case "destination.address", "destination.port":
		text, _ := r.Stream.Attr(filter.AttrDestinationAddress) // it is empty where the host cannot tell
		a, _ := netip.ParseAddrPort(text)
		if name == "destination.port" {
			return types.Int(a.Port()), true
		}
		if !a.IsValid() {
			return types.String(""), true
		}
		return types.String(a.Addr().WithZone("").String()), true
	case "connection.mtls":
		v, err := r.Stream.Attr("connection.mtls")
		if err != nil && !errors.Is(err, filter.ErrNotFound) { // false would be a wrong answer
			return types.WrapErr(fmt.Errorf("connection.mtls: %w", err)), true
		}
		return types.Bool(v == "true"), true
	case "consumer.name":
		return types.String(r.Consumer().Name), true
	}
	if strings.HasPrefix(name, "connection.") {
		text, err := r.Stream.Attr(filter.Attr(name))
		if err != nil && !errors.Is(err, filter.ErrNotFound) {
			return types.WrapErr(fmt.Errorf("%s: %w", name, err)), true
		}
		return types.String(strings.ToValidUTF8(text, "\uFFFD")), true
	}
	if x, ok := v.made[name]; ok {
		return x, true
	}
	x := v.make(name)
	if x == nil {
		return nil, false
	}
	if v.made == nil {
		v.made = map[string]any{}
	}
	v.made[name] = x
	return x, true
}

func (v *variables) make(name string) any {
	adapt := types.DefaultTypeAdapter.NativeToValue
	c := v.r.Consumer()
	switch name {
	case "request.segments":
		return adapt(v.r.Segments())
	case "request.query":
		return adapt(v.r.Parameters())
	case "request.time":
		return types.Timestamp{Time: time.Now()}
	case "consumer.groups":
		return adapt(c.Groups)
	case "consumer.labels":
		return adapt(c.Labels)
	case "consumer.attributes":
		return adapt(c.Attributes)
	case "metadata":
		m, err := v.r.Metadata(v.names)
		if err != nil {
			return types.WrapErr(err)
		}
		return adapt(m)
	}
	return nil
}

// headers is a map that looks a header up in the request, and makes a whole map only when that is needed. Case of names
// does not matter.
type headers struct {
	r    *authz.Request
	made traits.Mapper
}

func (h *headers) all() traits.Mapper {
	if h.made == nil {
		h.made = types.NewStringStringMap(types.DefaultTypeAdapter, h.r.HeaderMap())
	}
	return h.made
}

// Find returns a header's values, joined by commas.
func (h *headers) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return h.all().Find(key)
	}
	if strings.HasPrefix(string(name), ":") { // Envoy's
		return nil, false
	}
	if v, ok := h.r.Header(string(name)); ok {
		return types.String(v), true
	}
	return nil, false
}

// Get is Find for a header that should be there.
func (h *headers) Get(key ref.Val) ref.Val {
	v, ok := h.Find(key)
	if !ok {
		return types.ValOrErr(v, "no such key: %v", key)
	}
	return v
}

// Contains reports whether there is a header.
func (h *headers) Contains(key ref.Val) ref.Val {
	v, ok := h.Find(key)
	if v != nil && types.IsUnknownOrError(v) {
		return v
	}
	return types.Bool(ok)
}

// The other methods are those of the whole map.

// Size is the number of names.
func (h *headers) Size() ref.Val { return h.all().Size() }

// Iterator goes over the names.
func (h *headers) Iterator() traits.Iterator { return h.all().Iterator() }

// Equal compares with another map.
func (h *headers) Equal(other ref.Val) ref.Val {
	if o, ok := other.(*headers); ok {
		other = o.all()
	}
	return h.all().Equal(other)
}

// Type is that of maps.
func (h *headers) Type() ref.Type { return types.MapType }

// Value is the map in Go.
func (h *headers) Value() any { return h.all().Value() }

// ConvertToNative is that of a map.
func (h *headers) ConvertToNative(t reflect.Type) (any, error) { return h.all().ConvertToNative(t) }

// ConvertToType is that of a map.
func (h *headers) ConvertToType(t ref.Type) ref.Val { return h.all().ConvertToType(t) }
