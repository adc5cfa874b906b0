package headermutation

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/fieldname"
	"mosn.io/moe/plugins/internal/format"
)

// Actions of Envoy's HeaderAppendAction.
const (
	appendOrAdd      = "append_if_exists_or_add"
	addIfAbsent      = "add_if_absent"
	overwriteIfThere = "overwrite_if_exists"
	overwriteOrAdd   = "overwrite_if_exists_or_add"
)

// program is compiled Mutations.
type program struct {
	remove  []string
	prefix  []string
	pattern []*regexp.Regexp
	put     []put
	timed   bool
}

type put struct {
	name   string
	value  *format.Format
	action string
}

// compile checks m, and tells fail what is wrong with it and where. pseudo tells whether the pseudo-headers of a
// request are in reach.
func (m *Mutations) compile(pseudo bool, fail func(path string, err error)) (p program) {
	check := func(err error, field string, index any) {
		if err != nil {
			fail(fmt.Sprintf(field, index), err)
		}
	}
	for i, name := range m.Remove {
		check(removable(name), "remove[%d]", i)
		p.remove = append(p.remove, strings.ToLower(name))
	}
	for i, prefix := range m.RemovePrefix {
		check(fieldname.Check(prefix), "removePrefix[%d]", i)
		p.prefix = append(p.prefix, strings.ToLower(prefix))
	}
	for i, re := range m.RemoveRegexp {
		whole, err := entire(re)
		check(err, "removeRegexp[%d]", i)
		p.pattern = append(p.pattern, whole)
	}
	for _, x := range []struct {
		field, action string
		values        map[string]string
	}{{"set.%s", overwriteOrAdd, m.Set}, {"add.%s", appendOrAdd, m.Add}} {
		for _, name := range slices.Sorted(maps.Keys(x.values)) {
			check(p.add(name, x.values[name], x.action, pseudo), x.field, name)
		}
	}
	for i, a := range m.Apply {
		check(p.add(a.Name, a.Value, cmp.Or(a.Action, appendOrAdd), pseudo), "apply[%d]", i)
	}
	return p
}

// entire returns re for a whole name in any case.
func entire(re *regexp.Regexp) (*regexp.Regexp, error) {
	if re == nil || re.String() == "" {
		return nil, errors.New("must not be empty")
	}
	return regexp.Compile(`(?i)^(?:` + re.String() + `)$`)
}

func (p *program) add(name, value, action string, pseudo bool) error {
	name = strings.ToLower(name)
	switch action {
	case appendOrAdd, addIfAbsent, overwriteIfThere, overwriteOrAdd:
	default:
		return fmt.Errorf("unknown action %q; known are %s, %s, %s, %s",
			action, appendOrAdd, addIfAbsent, overwriteIfThere, overwriteOrAdd)
	}
	switch name {
	case ":path", ":authority", ":method", ":scheme":
		if !pseudo {
			return fmt.Errorf("%s belongs to the headers of a request", name)
		}
		if action == appendOrAdd {
			return fmt.Errorf("%s has one value: set it, do not add to it", name)
		}
	case "host":
		return fmt.Errorf("use :authority in place of host")
	default:
		if err := fieldname.Check(name); err != nil {
			return err
		}
	}
	f, err := format.Parse(value)
	if err != nil {
		return err
	}
	if f.Constant() {
		switch v := f.Of(filter.Stream{}); {
		case value == "":
			return fmt.Errorf("the value is empty; to remove a header, list it in remove")
		case !fieldname.ValidValue(v):
			return fmt.Errorf("the value has a line break or a zero byte")
		}
	}
	p.put = append(p.put, put{name, f, action})
	p.timed = p.timed || f.NeedsStart()
	return nil
}

// removable refuses to remove pseudo-headers and the host, as Envoy does.
func removable(name string) error {
	if strings.HasPrefix(name, ":") || strings.EqualFold(name, "host") {
		return fmt.Errorf("%s cannot be removed, only set", strings.ToLower(name))
	}
	return fieldname.Check(name)
}

// run changes h. A value that turns out as one that no header can have is counted and left out.
func (p *program) run(s filter.Stream, h filter.Headers, invalid *filter.Counter) {
	var room [16]string
	values := room[:0]
	for i := range p.put {
		values = append(values, p.put[i].value.Of(s))
	}
	for _, name := range p.remove {
		h.Del(name)
	}
	if len(p.prefix)+len(p.pattern) > 0 {
		for _, name := range p.matching(h) {
			h.Del(name)
		}
	}
	for i, value := range values {
		switch x := &p.put[i]; {
		case value == "": // as Envoy without keep_empty_value: nothing is known, so nothing changes
		case !fieldname.ValidValue(value):
			invalid.Inc()
		case x.action == appendOrAdd:
			h.Add(x.name, value)
		case x.action == overwriteOrAdd || (x.action == overwriteIfThere) == h.Has(x.name):
			h.Set(x.name, value)
		}
	}
}

// matching returns the names in h that a prefix or a pattern removes.
func (p *program) matching(h filter.Headers) (names []string) {
	for name := range h.All() {
		if name[0] == ':' || name == "host" {
			continue
		}
		if slices.ContainsFunc(p.prefix, func(x string) bool { return strings.HasPrefix(name, x) }) ||
			slices.ContainsFunc(p.pattern, func(re *regexp.Regexp) bool { return re.MatchString(name) }) {
			names = append(names, name)
		}
	}
	return names
}
