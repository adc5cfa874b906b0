package script

import (
	"strings"
	"unicode/utf8"

	"github.com/dop251/goja"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/fieldname"
)

// headers is what a script has of header fields: get, all, set, add, remove.
func (m *machine) headers(h filter.Headers) goja.Value {
	o := m.NewObject()
	name := func(c goja.FunctionCall) string {
		n := c.Argument(0).String()
		if err := fieldname.Check(n); err != nil {
			panic(m.NewTypeError("not the name of a header field"))
		}
		return strings.ToLower(n)
	}
	value := func(c goja.FunctionCall) string {
		v := c.Argument(1).String()
		if strings.IndexFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) >= 0 {
			panic(m.NewTypeError("not the value of a header field"))
		}
		return v
	}
	set := func(method string, f func(c goja.FunctionCall) goja.Value) {
		_ = o.Set(method, f) // an ordinary object takes it
	}
	set("get", func(c goja.FunctionCall) goja.Value {
		n := name(c)
		if !h.Has(n) {
			return goja.Undefined()
		}
		return m.ToValue(h.Get(n))
	})
	set("all", func(c goja.FunctionCall) goja.Value { return m.ToValue(h.Values(name(c))) })
	set("set", func(c goja.FunctionCall) goja.Value {
		h.Set(name(c), value(c))
		return goja.Undefined()
	})
	set("add", func(c goja.FunctionCall) goja.Value {
		h.Add(name(c), value(c))
		return goja.Undefined()
	})
	set("remove", func(c goja.FunctionCall) goja.Value {
		h.Del(name(c))
		return goja.Undefined()
	})
	return o
}

// object makes an object of properties.
func (m *machine) object(properties map[string]any) *goja.Object {
	o := m.NewObject()
	for name, v := range properties {
		_ = o.Set(name, v) // an ordinary object takes it
	}
	return o
}

// body is what a script has of a body: a string, or undefined for one that is not UTF-8.
func body(data []byte) any {
	if data == nil || !utf8.Valid(data) {
		return goja.Undefined()
	}
	return string(data)
}

// text returns a property that is a string.
func text(o *goja.Object, name string) (string, bool) {
	v, ok := o.Get(name).(goja.String)
	if !ok {
		return "", false
	}
	return v.String(), true
}
