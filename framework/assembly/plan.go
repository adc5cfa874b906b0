package assembly

import (
	"fmt"
	"slices"
	"time"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
)

// plan is a chain that is to be built: its plugins in the order in which they run.
type plan struct {
	host    string
	specs   []spec
	timeout time.Duration
	any     bool // scheme is enough
	header  string
	doc     *document
	forWhom map[string]*plan // by consumer, for those of the document with plugins of their own
	key     digest
}

// spec is a plugin of a plan.
type spec struct {
	entry
	consumers *consumers // whom it may find, or nil
	key       digest     // of the instance
}

// newPlan orders what a complete document has and says what of it cannot be, but for the plugins' configurations.
func newPlan(host string, d *document) (*plan, error) {
	r := &reading{}
	p := &plan{
		host: host, doc: d, timeout: d.timeout, any: d.authentication == anyScheme, header: d.header,
		specs: r.specs(host, d.entries, d),
	}
	own := newHash()
	fmt.Fprintf(own.h, "%d;%t;%q;", p.timeout, p.any, p.header)
	for _, s := range p.specs {
		own.h.Write(s.key[:])
	}
	for _, c := range d.consumers.list {
		if len(c.entries) == 0 {
			continue
		}
		cp := r.forConsumer(p, c.path, c.public.Name, c.entries)
		if p.forWhom == nil {
			p.forWhom = map[string]*plan{}
		}
		p.forWhom[c.public.Name] = cp
		own.value(c.public.Name)
		own.h.Write(cp.key[:])
	}
	if d.consumers.source != nil {
		own.h.Write(d.consumers.all[:])
		for _, e := range d.entries { // consumers may enable what is disabled here
			own.value(e.id)
			own.value(raw(e.config))
			own.h.Write([]byte{boolByte(e.off())})
		}
	}
	p.key = own.sum()
	return p, r.errs.Err()
}

// forConsumer merges a consumer's entries, which stand at path, over the plan.
func (r *reading) forConsumer(base *plan, path, name string, entries []entry) *plan {
	before, d := len(r.errs), base.doc
	cp := &plan{host: base.host, timeout: base.timeout, any: base.any, header: base.header}
	cp.specs = r.specs(base.host, r.mergeEntries(d.entries, entries, false), d)
	h := newHash()
	for _, s := range cp.specs {
		h.h.Write(s.key[:])
	}
	cp.key = h.sum()
	if slices.ContainsFunc(entries, early) { // told when the document was read
		return cp
	}
	if n := authnEnd(base.specs); len(r.errs) == before &&
		(n != authnEnd(cp.specs) || !slices.EqualFunc(base.specs[:n], cp.specs[:n], sameInstance)) {
		r.fail(path+".plugins", "consumer %s changes plugins that run before the last one of stage authn, "+
			"when it is not known yet who the consumer is; list those after it", quoted(name))
	}
	return cp
}

// early tells that a plugin runs before it is known who the consumer is.
func early(e entry) bool { return e.reg != nil && e.reg.Stage <= filter.Authn }

func sameInstance(a, b spec) bool { return a.key == b.key }

// authnEnd returns how many plugins run until the consumer is known for sure.
func authnEnd(specs []spec) int {
	for i := len(specs); i > 0; i-- {
		if specs[i-1].reg.Stage == filter.Authn {
			return i
		}
	}
	return 0
}

// specs picks the entries that are on, in the order in which they run.
func (r *reading) specs(host string, entries []entry, d *document) []spec {
	var specs []spec
	for _, e := range entries {
		if e.off() || e.reg == nil {
			continue
		}
		s := spec{entry: e}
		h := newHash()
		h.value(host)
		h.value(e.reg.Name)
		h.value(e.id)
		if e.config != nil { // none and an empty one are the same
			h.value(e.config)
		} else {
			h.value(map[string]any{})
		}
		h.secrets(e.config)
		if d.consumers.knows(e.reg) {
			s.consumers = d.consumers
			h.h.Write(d.consumers.digest[:])
			credentials := d.consumers.plugins[e.reg.Name]
			h.h.Write(credentials[:])
			d.consumers.source.write(h)
		}
		s.key = h.sum()
		specs = append(specs, s)
	}
	if len(specs) > maxPlugins {
		r.fail("plugins", "%d plugins in one chain; the limit is %d", len(specs), maxPlugins)
	}
	if d.order != orderListed {
		slices.SortStableFunc(specs, func(a, b spec) int { return rank(a.reg) - rank(b.reg) })
	}
	last := slices.IndexFunc(specs, func(s spec) bool { return s.reg.LastScheme })
	if last >= 0 && slices.ContainsFunc(specs[last:], func(s spec) bool { return s.reg.Scheme }) {
		r.fail(specs[last].path, "takes the requests in which no plugin has found a credential; "+
			"list it after all that look for one (%s)", specs[last].reg.Name)
	}
	return specs
}

// rank is the place of a plugin's stage; what authenticates last is at the end of its own.
func rank(r *filter.Registration) int {
	n := 2 * int(r.Stage)
	if r.LastScheme {
		n++
	}
	return n
}

// decode makes a plugin's struct, complete and validated.
func (s *spec) decode(caps filter.Capability) (any, *config.Decoder, error) {
	if lacks := s.reg.Needs &^ caps; lacks != 0 {
		return nil, nil, config.Errors{{Path: s.path, Plugin: s.reg.Name, Msg: fmt.Sprintf(
			"needs %v, which this host cannot; docs/hosts.md tells which can", lacks)}}
	}
	d := &config.Decoder{Path: s.configPath, Plugin: s.reg.Name}
	into := s.reg.New()
	err := d.Decode(raw(s.config), into)
	return into, d, err
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// raw keeps a nil map from being a value.
func raw(m map[string]any) any {
	if m == nil {
		return nil
	}
	return m
}

// check decodes every plugin that live does not know, and returns all errors.
func (p *plan) check(caps filter.Capability, live func(digest) bool) error {
	r := &reading{}
	seen := map[digest]bool{}
	var walk func(*plan)
	walk = func(p *plan) {
		for i := range p.specs {
			if s := &p.specs[i]; !seen[s.key] && !live(s.key) {
				seen[s.key] = true
				_, _, err := s.decode(caps)
				r.add(err)
			}
		}
		for _, c := range p.forWhom {
			walk(c)
		}
	}
	walk(p)
	return r.errs.Err()
}
