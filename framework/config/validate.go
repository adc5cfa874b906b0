package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/go-playground/validator/v10"

	"mosn.io/moe/framework/extension"
)

// squashed stands in validator's namespaces for an embedded struct, which has no name in the configuration.
const squashed = "~"

var checks = sync.OnceValue(func() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string {
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			return squashed
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return cmp.Or(name, f.Name)
	})
	v.RegisterCustomTypeFunc(func(f reflect.Value) any {
		switch x := f.Interface().(type) {
		case extension.Secret:
			return x.Reveal()
		case url.URL:
			return x.String()
		case netip.Addr:
			return valid(x.IsValid(), x)
		case netip.AddrPort:
			return valid(x.IsValid(), x)
		case netip.Prefix:
			return valid(x.IsValid(), x)
		}
		return nil
	}, extension.Secret{}, url.URL{}, netip.Addr{}, netip.AddrPort{}, netip.Prefix{})
	if err := v.RegisterValidation("hostport", func(f validator.FieldLevel) bool {
		_, port, err := net.SplitHostPort(f.Field().String())
		n, portErr := strconv.ParseUint(port, 10, 16)
		return err == nil && portErr == nil && n > 0
	}); err != nil {
		panic(err)
	}
	return v
})

func valid(ok bool, v fmt.Stringer) string {
	if !ok {
		return ""
	}
	return v.String()
}

// validate checks the tags of into, and if they hold, asks its Validate.
func (r *run) validate(into any) {
	v := reflect.ValueOf(into).Elem()
	if v.Kind() != reflect.Struct {
		return
	}
	for _, e := range r.errs {
		r.unruly = append(r.unruly, e.Path)
	}
	r.checkTags(r.Path, v)
	r.checkElements(r.Path, v)
	own, ok := into.(interface{ Validate() error })
	if !ok || len(r.errs) > 0 {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			r.fail(r.Path, "Validate of the plugin panics at %s: %v", panicAt(), p)
		}
	}()
	for _, e := range FromPlugin(r.Path, v.Type(), own.Validate()) {
		r.fail(e.Path, "%s", e.Msg)
	}
}

// FromPlugin returns what a plugin's own code says is wrong with its configuration at path, joined errors one by one.
// An error that begins with a field of the plugin's struct t, as in "rules[1].id: is reserved", gets the field's path.
func FromPlugin(path string, t reflect.Type, err error) (es Errors) {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			es = append(es, FromPlugin(path, t, e)...)
		}
		return es
	}
	e := Error{Msg: err.Error()}
	if m := fieldPrefix.FindStringSubmatch(e.Msg); m != nil && fieldNamed(t, m[1]) != nil {
		e.Path, e.Msg = m[1]+m[2], m[3]
	}
	return Errors{e}.In(path)
}

var fieldPrefix = regexp.MustCompile(`(?s)^([A-Za-z0-9_-]+)((?:\.[A-Za-z0-9_-]+|\[[0-9]+\]|\["[^"\\]*"\])*): (.*)$`)

// checkTags runs validator over struct v and the structs directly in it.
func (r *run) checkTags(path string, v reflect.Value) {
	defer func() {
		if p := recover(); p != nil { // an unknown tag
			r.fail(path, "a validate tag of the plugin is wrong: %v", p)
		}
	}()
	err := checks().Struct(v.Addr().Interface())
	var all validator.ValidationErrors
	if !errors.As(err, &all) {
		return
	}
	for _, e := range all {
		at := strings.TrimPrefix(e.Namespace(), v.Type().Name()+".")
		at = strings.ReplaceAll(at, squashed+".", "")
		if path != "" {
			at = path + "." + at
		}
		if r.hasErrorAt(at) || len(r.unruly) > 0 && ofOthers.MatchString(e.Tag()) {
			continue
		}
		r.fail(at, "%s", complaint(e))
	}
}

// ofOthers matches tags that are about another field, too, whose value may be the one of the wrong type.
var ofOthers = regexp.MustCompile(`^(required|excluded)_|field$`)

// hasErrorAt reports whether the value at path, or one around it or in it, is wrong already.
func (r *run) hasErrorAt(path string) bool {
	return slices.ContainsFunc(r.unruly, func(p string) bool { return within(p, path) || within(path, p) })
}

// within reports whether path is outer or a place in it.
func within(path, outer string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (rest == "" || outer == "" || rest[0] == '.' || rest[0] == '[')
}

// checkElements finds the structs in lists and maps, which validator leaves out unless a tag says dive.
func (r *run) checkElements(path string, v reflect.Value) {
	for _, f := range fieldsOf(v.Type()) {
		if f.raw {
			continue
		}
		fv := v.FieldByIndex(f.index)
		dives := strings.Contains(","+f.tag.Get("validate")+",", ",dive,")
		r.checkElement(Key(path, f.name), fv, dives)
	}
}

// checkElement descends into v; known tells that validator has been there.
func (r *run) checkElement(path string, v reflect.Value, known bool) {
	if readerOf(v.Type()) != nil {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			r.checkElement(path, v.Elem(), known)
		}
	case reflect.Struct:
		r.checkElements(path, v)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			r.checkInside(Index(path, i), v.Index(i), known)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			r.checkInside(Key(path, fmt.Sprint(k)), v.MapIndex(k), known)
		}
	}
}

func (r *run) checkInside(path string, v reflect.Value, known bool) {
	for v.Kind() == reflect.Pointer && !v.IsNil() && readerOf(v.Type().Elem()) == nil {
		v = v.Elem()
	}
	if v.Kind() == reflect.Struct && readerOf(v.Type()) == nil && !known {
		if !v.CanAddr() { // in a map
			p := reflect.New(v.Type())
			p.Elem().Set(v)
			v = p.Elem()
		}
		r.checkTags(path, v)
	}
	r.checkElement(path, v, known)
}

// complaint says what a failed check wants.
func complaint(e validator.FieldError) string {
	p := e.Param()
	switch tag := e.Tag(); tag {
	case "required", "required_if", "required_unless", "required_with", "required_without", "required_with_all",
		"required_without_all":
		msg := "is required"
		if isNumber(e.Kind()) {
			msg = "is required and not 0"
		}
		if p != "" {
			msg += " (" + strings.ReplaceAll(tag[len("required_"):], "_", " ") + " " + p + ")"
		}
		return msg
	case "min", "gte":
		return "expected " + amount(e, "at least ", p)
	case "max", "lte":
		return "expected " + amount(e, "at most ", p)
	case "gt":
		return "expected " + amount(e, "more than ", p)
	case "lt":
		return "expected " + amount(e, "less than ", p)
	case "len", "eq":
		return "expected " + amount(e, "exactly ", p)
	case "oneof":
		return "expected " + list(strings.Fields(p)) + ", got something else"
	case "unique":
		return "expected no two equal values"
	case "hostport", "hostname_port":
		return `expected a host and port such as "localhost:8080"`
	case "dir":
		return "expected a directory that exists"
	case "file":
		return "expected a file that exists"
	case "url", "http_url", "uri":
		return "expected a URL with a scheme"
	default:
		msg := "fails the check " + tag
		if p != "" {
			msg += "=" + p
		}
		return msg + " of the plugin"
	}
}

func isNumber(k reflect.Kind) bool { return reflect.Int <= k && k <= reflect.Float64 }

// amount says how much: of a number itself, else of characters or elements.
func amount(e validator.FieldError, prefix, n string) string {
	s := prefix + n
	switch e.Kind() {
	case reflect.String:
		s += " characters"
	case reflect.Slice, reflect.Array, reflect.Map:
		s += " elements"
	}
	return s
}
