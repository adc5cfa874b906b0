package transform

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"mosn.io/moe/plugins/internal/fieldname"
)

// Fields changes values that have names. What is renamed comes first, then what is removed, set and added.
type Fields struct {
	// Rename gives fields other names, by their old ones.
	Rename map[string]string `json:"rename"`
	// Remove lists fields that go.
	Remove []string `json:"remove"`
	// Set gives fields a value in place of those that they have: a template.
	Set map[string]string `json:"set"`
	// Add gives fields one more value: a template.
	Add map[string]string `json:"add"`

	set, add map[string]*tmpl
}

func (f *Fields) empty() bool {
	return len(f.Rename)+len(f.Remove)+len(f.Set)+len(f.Add) == 0
}

// compile compiles the templates. Names of header fields are checked.
func (f *Fields) compile(header bool) error {
	var errs []error
	check := func(field, name string) {
		if err := fieldname.Check(name); header && err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field, err))
		} else if name == "" {
			errs = append(errs, fmt.Errorf("%s: a name is empty", field))
		}
	}
	for _, from := range slices.Sorted(maps.Keys(f.Rename)) {
		check("rename", from)
		check("rename", f.Rename[from])
	}
	for _, name := range f.Remove {
		check("remove", name)
	}
	compile := func(field string, of map[string]string) map[string]*tmpl {
		made := map[string]*tmpl{}
		for _, name := range slices.Sorted(maps.Keys(of)) {
			check(field, name)
			t, err := newTemplate(of[name])
			if err != nil {
				errs = append(errs, fmt.Errorf("%s.%s: %w", field, name, err))
			}
			made[name] = t
		}
		return made
	}
	f.set, f.add = compile("set", f.Set), compile("add", f.Add)
	return errors.Join(errs...)
}

// values is where fields are: header fields, cookies, or the parameters of a query or form.
type values interface {
	get(name string) []string
	put(name string, values []string) // none: remove
}

// apply changes v. What templates make is worked out before anything is changed.
func (f *Fields) apply(v values, w *work) error {
	made := func(of map[string]*tmpl) (map[string]string, error) {
		texts := map[string]string{}
		for name, t := range of {
			text, err := t.run(w)
			if err != nil {
				return nil, fmt.Errorf("the template for %s: %w", name, err)
			}
			texts[name] = text
		}
		return texts, nil
	}
	set, err := made(f.set)
	if err != nil {
		return err
	}
	add, err := made(f.add)
	if err != nil {
		return err
	}
	moved := map[string][]string{}
	for from, to := range f.Rename {
		if had := v.get(from); len(had) > 0 {
			moved[to] = append(moved[to], had...)
			v.put(from, nil)
		}
	}
	for _, to := range slices.Sorted(maps.Keys(moved)) {
		v.put(to, moved[to])
	}
	for _, name := range f.Remove {
		v.put(name, nil)
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		v.put(name, []string{set[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(add)) {
		had := v.get(name)
		v.put(name, append(had[:len(had):len(had)], add[name]))
	}
	return nil
}
