package config

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"regexp/syntax"
	"strings"
	"time"

	"mosn.io/moe/framework/extension"
)

// reader reads a value of one type from generic data. Its error does not quote the value.
type reader func(r *run, n node) (any, error)

// leaf is a type that is one value to the operator, whatever it is in Go.
type leaf struct {
	read   reader
	schema map[string]any
}

var leaves map[reflect.Type]leaf

var durationType = reflect.TypeFor[time.Duration]()

func init() {
	leaves = map[reflect.Type]leaf{
		durationType: {duration, map[string]any{
			"type":    "string",
			"pattern": `^[-+]?(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))+$`, "examples": []any{"250ms", "1m30s"},
		}},
		reflect.TypeFor[extension.Size](): {size, map[string]any{"anyOf": []any{
			map[string]any{"type": "string", "pattern": `^[0-9]+ ?([KMGT]iB|[kKMGT]B|B)?$`},
			map[string]any{"type": "integer", "minimum": 0},
		}, "examples": []any{"64KiB", "10MiB"}}},
		reflect.TypeFor[url.URL](): {
			text(`a URL such as "https://example.com/path"`, parseURL),
			map[string]any{"type": "string", "format": "uri-reference", "minLength": 1},
		},
		reflect.TypeFor[regexp.Regexp](): {
			text("a regular expression (RE2)", parseRegexp),
			map[string]any{"type": "string"},
		},
		reflect.TypeFor[netip.Prefix](): {
			text(`a CIDR such as "10.0.0.0/8"`, parsePrefix),
			map[string]any{"type": "string", "examples": []any{"10.0.0.0/8", "fd00::/8"}},
		},
		reflect.TypeFor[netip.Addr](): {
			text(`an IP address such as "10.0.0.1"`, netip.ParseAddr),
			map[string]any{"type": "string", "examples": []any{"10.0.0.1"}},
		},
		reflect.TypeFor[netip.AddrPort](): {
			text(`an IP address and port such as "10.0.0.1:80"`, netip.ParseAddrPort),
			map[string]any{"type": "string", "examples": []any{"10.0.0.1:80"}},
		},
		reflect.TypeFor[time.Time](): {
			text(`a time such as "2006-01-02T15:04:05Z"`, parseTime),
			map[string]any{"type": "string", "format": "date-time"},
		},
		secretType:                   {secret, secretSchema},
		reflect.TypeFor[SecretRef](): {secretRef, secretSchema},
	}
}

// readerOf returns how to read t, or nil if t is for mapstructure to walk or for basic.
func readerOf(t reflect.Type) reader {
	if l, ok := leaves[t]; ok {
		return l.read
	}
	if t.Kind() != reflect.Interface && reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return func(_ *run, n node) (any, error) { return unmarshalText(n.v, t) }
	}
	return nil
}

// errNot is the error for a string that is not what; why adds the reason, which must not have the value in it.
func errNot(what, why string) error {
	if why != "" {
		why = ": " + why
	}
	return fmt.Errorf("expected %s, got another string%s", what, why)
}

// errNone tells that a string is not what was expected, without a reason.
var errNone = errors.New("")

// text reads a string by parse. It leaves out what errors of other packages say, because they quote the value.
func text[T any](what string, parse func(string) (T, error)) reader {
	return func(_ *run, n node) (any, error) {
		s, ok := n.v.(string)
		if !ok || s == "" {
			return nil, fmt.Errorf("expected %s, got %s", what, kind(n.v))
		}
		v, err := parse(s)
		if e := reason(""); errors.As(err, &e) {
			return nil, errNot(what, string(e))
		} else if err != nil {
			return nil, errNot(what, "")
		}
		return v, nil
	}
}

// reason is an error whose text may be shown.
type reason string

func (r reason) Error() string { return string(r) }

func parseURL(s string) (url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return url.URL{}, errNone
	}
	return *u, nil
}

func parseRegexp(s string) (any, error) {
	re, err := regexp.Compile(s)
	if e := (*syntax.Error)(nil); errors.As(err, &e) {
		return nil, reason(e.Code) // e.Expr is a piece of s
	} else if err != nil {
		return nil, err
	}
	return *re, nil
}

// parsePrefix takes an address for the network that has only it.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

func parseTime(s string) (time.Time, error) { return time.Parse(time.RFC3339Nano, s) }

func duration(_ *run, n node) (any, error) {
	const what = `a duration such as "1s" or "250ms"`
	if f, ok := toFloat(n.v); ok {
		if f == 0 {
			return time.Duration(0), nil
		}
		return nil, fmt.Errorf("expected %s, got a number without a unit", what)
	}
	return text(what, time.ParseDuration)(nil, n)
}

func size(_ *run, n node) (any, error) {
	const what = `a size such as "64KiB", "10MiB" or a number of bytes`
	if _, ok := toFloat(n.v); ok {
		v, err := basic(n.v, reflect.TypeFor[int64]())
		if err != nil {
			return nil, err
		}
		if v.(int64) < 0 {
			return nil, fmt.Errorf("expected %s, got a negative number", what)
		}
		return extension.Size(v.(int64)), nil
	}
	return text(what, extension.ParseSize)(nil, n)
}

func unmarshalText(v any, t reflect.Type) (_ any, err error) {
	s, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("expected a string, got %s", kind(v))
	}
	p := reflect.New(t)
	defer func() {
		if recover() != nil { // what it says may have the value in it
			err = fmt.Errorf("UnmarshalText of the plugin's type %v panics", t)
		}
	}()
	if err := p.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s)); err != nil {
		msg := err.Error()
		if s != "" {
			msg = strings.ReplaceAll(msg, s, "…")
		}
		return nil, errors.New(msg)
	}
	return p.Elem().Interface(), nil
}

// basic converts v to t, a boolean, number or string type, only if it is one already and fits.
func basic(v any, t reflect.Type) (any, error) {
	if t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64 {
		v = fromEnvoyYAML(v)
	}
	switch t.Kind() {
	case reflect.Bool:
		if b, ok := v.(bool); ok {
			return b, nil
		}
		return nil, fmt.Errorf("expected true or false, got %s", kind(v))
	case reflect.String:
		if s, ok := v.(string); ok {
			return s, nil
		}
		return nil, fmt.Errorf("expected a string, got %s", kind(v))
	case reflect.Float32, reflect.Float64:
		f, ok := toFloat(v)
		if !ok {
			return nil, fmt.Errorf("expected a number, got %s", kind(v))
		}
		if reflect.Zero(t).OverflowFloat(f) {
			return nil, fmt.Errorf("expected a number up to %g, got a larger one", math.MaxFloat32)
		}
		return f, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, u, err := toInt(v)
		if err == nil && (u != 0 || reflect.Zero(t).OverflowInt(i)) {
			most := int64(1)<<(t.Bits()-1) - 1
			err = fmt.Errorf("expected a whole number from %d to %d, got one out of this range", -most-1, most)
		}
		return i, err
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		i, u, err := toInt(v)
		if i >= 0 && u == 0 {
			u = uint64(i)
		}
		if err == nil && (i < 0 || reflect.Zero(t).OverflowUint(u)) {
			err = fmt.Errorf("expected a whole number from 0 to %d, got one out of this range",
				uint64(math.MaxUint64)>>(64-t.Bits()))
		}
		return u, err
	}
	return nil, fmt.Errorf("the plugin's field has type %v, which no configuration can hold", t)
}

func toFloat(v any) (float64, bool) {
	if n, ok := v.(json.Number); ok {
		f, err := n.Float64()
		return f, err == nil
	}
	r := reflect.ValueOf(v)
	switch {
	case v == nil:
	case r.CanFloat():
		return r.Float(), true
	case r.CanInt():
		return float64(r.Int()), true
	case r.CanUint():
		return float64(r.Uint()), true
	}
	return 0, false
}

// toInt returns v in i, or in u if it is above i's range.
func toInt(v any) (i int64, u uint64, err error) {
	if n, ok := v.(json.Number); ok {
		if v, err = number(n.String()); err != nil {
			return 0, 0, errors.New("expected a whole number, got one out of range")
		}
	}
	r := reflect.ValueOf(v)
	switch {
	case v == nil:
	case r.CanInt():
		return r.Int(), 0, nil
	case r.CanUint():
		if r.Uint() > math.MaxInt64 {
			return 0, r.Uint(), nil
		}
		return int64(r.Uint()), 0, nil
	case r.CanFloat():
		switch f := r.Float(); {
		case f != math.Trunc(f):
			return 0, 0, errors.New("expected a whole number, got a number with a fraction")
		case f >= -(1<<63) && f < 1<<63:
			return int64(f), 0, nil
		case f >= 0 && f < 1<<64:
			return 0, uint64(f), nil
		}
		return 0, 0, errors.New("expected a whole number, got one out of range")
	}
	return 0, 0, fmt.Errorf("expected a number, got %s", kind(v))
}
