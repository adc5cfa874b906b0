package config

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// merger is a struct that merges configurations of its type by its own code.
type merger interface {
	Merge(parent, child map[string]any) (merged map[string]any, err error)
}

// Merge puts child over parent, both the data of a struct of type t: objects merge, anything else in child replaces
// what parent has, and a null in child removes parent's value, so that the default holds again. Where t tags a list
// `merge:"append"`, child's elements follow parent's. A value that is one value to the operator, such as a secret, is
// replaced even if it is written as an object. If *t has a Merge method, that method does all of it instead.
// Parent and child are not changed; the result shares nothing with them. Either may be nil.
func Merge(t reflect.Type, parent, child map[string]any) (merged map[string]any, err error) {
	m, ok := reflect.New(t).Interface().(merger)
	if !ok {
		return mergeObjects(t, parent, child), nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("Merge of the plugin panics at %s: %v", panicAt(), p)
		}
		if err != nil {
			merged, err = nil, mergeErrors(t, err, parent, child)
		}
	}()
	p, _ := Clone(parent).(map[string]any)
	c, _ := Clone(child).(map[string]any)
	return m.Merge(p, c)
}

// mergeErrors returns what t's Merge says, without the secrets of what it was given.
func mergeErrors(t reflect.Type, err error, given ...map[string]any) error {
	d := &Decoder{Partial: true}
	for _, m := range given {
		_ = d.Decode(m, reflect.New(t).Interface()) // only for its secrets; it need not be complete
	}
	return FromPlugin("", t, err).Redact(d.secrets)
}

// HasMerge reports whether *t merges by its own code, so that a child alone need not have the form of the struct.
func HasMerge(t reflect.Type) bool { return reflect.PointerTo(t).Implements(reflect.TypeFor[merger]()) }

// mergeObjects merges data of type t; t is nil where the type does not say.
func mergeObjects(t reflect.Type, parent, child map[string]any) map[string]any {
	m := make(map[string]any, len(parent)+len(child))
	for k, v := range parent {
		m[k] = Clone(v)
	}
	for k, v := range child {
		if v == nil {
			delete(m, k)
			continue
		}
		ft, add := inside(t, k)
		m[k] = mergeValues(ft, add, m[k], v)
	}
	return m
}

// inside returns the type of field k of t, nil if it is not known, and whether its lists append.
func inside(t reflect.Type, k string) (reflect.Type, bool) {
	if t == nil {
		return nil, false
	}
	switch t = elem(t); {
	case readerOf(t) != nil:
	case t.Kind() == reflect.Struct:
		if f := fieldNamed(t, k); f != nil {
			return f.typ, f.tag.Get("merge") == "append"
		}
	case t.Kind() == reflect.Map:
		return t.Elem(), false
	}
	return nil, false
}

func mergeValues(t reflect.Type, add bool, parent, child any) any {
	switch c := child.(type) {
	case map[string]any:
		p, ok := parent.(map[string]any)
		if t != nil && readerOf(elem(t)) != nil {
			ok = false
		}
		if !ok {
			p = nil
		}
		return mergeObjects(t, p, c)
	case []any:
		if p, ok := parent.([]any); ok && add {
			return append(p, Clone(c).([]any)...)
		}
	}
	return Clone(child)
}

func sortedKeys(m map[string]any) []string { return slices.SortedFunc(maps.Keys(m), cmp.Compare) }

// MergeData is [Merge] for data whose types are not known.
func MergeData(parent, child map[string]any) map[string]any {
	if parent == nil && child == nil {
		return nil
	}
	return mergeObjects(nil, parent, child)
}

// panicAt returns the place that panicked, for a message that a stack would be too long for. It is to be called from
// the deferred function that recovers.
func panicAt() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	panicking := false
	for {
		f, more := frames.Next()
		inRuntime := strings.HasPrefix(f.Function, "runtime.")
		if panicking && !inRuntime {
			return filepath.Base(f.File) + ":" + strconv.Itoa(f.Line)
		}
		panicking = panicking || inRuntime
		if !more {
			return "an unknown place"
		}
	}
}
