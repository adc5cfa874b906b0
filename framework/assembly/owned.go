package assembly

import (
	"slices"
	"strings"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
)

// owned returns the request headers that only the plugins of a document may set, in lower case: those of all its
// entries, also of disabled ones and of its consumers'. A route that disables the plugin which sets a header, and a
// request that another plugin lets pass, must not give clients the word in it.
func (r *reading) owned(d *checked) []string {
	var names []string
	add := func(entries []entry) {
		for _, e := range entries {
			if e.reg == nil {
				continue
			}
			if owner, ok := bare[filter.HeaderOwner](r, e); ok {
				for _, name := range ask(owner.OwnsRequestHeaders) {
					names = append(names, strings.ToLower(name))
				}
			}
		}
	}
	add(d.entries)
	for _, c := range d.consumers.list {
		add(c.entries)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// bare returns the struct of an entry, with as much of its configuration as can be decoded, if it implements I.
func bare[I any](r *reading, e entry) (of I, ok bool) {
	if of, ok = e.reg.New().(I); ok {
		decoder := &config.Decoder{Partial: true, Reader: r.reader()}
		_ = decoder.Decode(data(e.Config), of) // what is wrong with it is reported by who checks the configuration
	}
	return of, ok
}

// ask asks a plugin, whose code may panic where its configuration is incomplete: the answer is the zero value then.
func ask[V any](plugin func() V) (answer V) {
	defer func() { _ = recover() }()
	return plugin()
}
