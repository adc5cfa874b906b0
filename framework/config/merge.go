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

	"mosn.io/moe/framework/filter"
)

// Merge puts child, the configuration of a route or consumer, over parent, that of its filter: objects merge, what
// else child has replaces what parent has, and a null of child takes parent's away, so that the default holds again.
// Where reg's struct tags a list `merge:"append"`, child's elements come after parent's. What is one value to the
// operator, as a secret, is replaced even if it is written as an object. A plugin's own Merge does it instead.
// Parent and child are not changed; the result shares nothing with them. Either may be nil.
func Merge(reg *filter.Registration, parent, child map[string]any) (merged map[string]any, err error) {
	m, ok := reg.New().(filter.Merger)
	if !ok {
		return mergeObjects(reg.Config, parent, child), nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("Merge of the plugin panics at %s: %v", panicAt(), p)
		}
		if err != nil {
			merged, err = nil, mergeErrors(reg, err, parent, child)
		}
	}()
	p, _ := Clone(parent).(map[string]any)
	c, _ := Clone(child).(map[string]any)
	return m.Merge(p, c)
}

// mergeErrors is what a plugin's Merge says, without the secrets of what it was given.
func mergeErrors(reg *filter.Registration, err error, given ...map[string]any) error {
	d := &Decoder{Partial: true}
	for _, m := range given {
		_ = d.Decode(m, reg.New()) // only for its secrets; it need not be complete
	}
	return FromPlugin("", reg.Config, err).Of(reg.Name).Redact(d.secrets)
}

// HasMerge tells whether the plugin merges on its own, so that a child alone need not have the form of its struct.
func HasMerge(reg *filter.Registration) bool {
	_, ok := reg.New().(filter.Merger)
	return ok
}

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
