package assembly

import (
	"cmp"

	"mosn.io/moe/framework/config"
)

// merge puts a route's document over the filter's.
func merge(parent, child *document) (*document, error) {
	r := &reading{}
	d := &document{
		entries:   r.mergeEntries(parent.entries, child.entries, false),
		consumers: r.mergeConsumers(parent.consumers, child.consumers),
		order:     cmp.Or(child.order, parent.order),
		timeout:   cmp.Or(child.timeout, parent.timeout),

		authentication: cmp.Or(child.authentication, parent.authentication),
		header:         cmp.Or(child.header, parent.header),
	}
	return d, r.errs.Err()
}

// mergeEntries merges by id; what is new comes last, as listed. Where the parent is partial too, an id that it does not
// know may be an entry of a document still above.
func (r *reading) mergeEntries(parent, child []entry, partial bool) []entry {
	merged := append([]entry(nil), parent...)
	for _, c := range child {
		at := -1
		for i := range parent {
			if parent[i].id == c.id {
				at = i
			}
		}
		switch {
		case at >= 0:
			r.mergeEntry(&merged[at], c)
		case c.reg == nil && !partial:
			if !c.off() { // what is not there need not be removed
				r.fail(c.path+".id", "the filter has no plugin with id %s; give its name to add one", quoted(c.id))
			}
		default:
			merged = append(merged, c)
		}
	}
	return merged
}

func (r *reading) mergeEntry(p *entry, c entry) {
	p.path, p.configPath = c.path, c.configPath
	if c.disabled != nil {
		p.disabled = c.disabled
	}
	if p.reg == nil {
		p.reg = c.reg
	}
	if c.reg != nil && c.reg != p.reg {
		r.fail(c.path+".name", "id %s is a %s in the filter and a %s here; choose another id",
			quoted(c.id), p.reg.Name, c.reg.Name)
		return
	}
	if c.config == nil || p.reg == nil {
		if c.config != nil {
			p.config = config.MergeData(p.config, c.config)
		}
		return
	}
	m, err := config.Merge(p.reg.Config, p.config, c.config)
	if es, ok := err.(config.Errors); ok {
		r.errs = append(r.errs, es.Of(p.reg.Name).In(c.configPath)...)
		return
	}
	p.config = m
}
