package assembly

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/debugview"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/telemetry"
)

// plan is a chain that is to be built: its plugins in the order in which they run.
type plan struct {
	settings

	specs   []spec
	doc     *checked
	forWhom map[string]*plan // by consumer, for those of the document with plugins of their own
	key     digest
	secrets *config.SecretReader // what the digests are of, for plugins that are decoded later
}

// settings are what a document says of its chain, and so of those of its consumers.
type settings struct {
	host    string
	timeout time.Duration
	any     bool   // one scheme is enough
	header  string // that tells the consumer's name
	traces  telemetry.Traces
	metrics document.Metrics
	authn   bool     // some plugin of the document authenticates, even if it is disabled
	owned   []string // request headers that only plugins may set
	later   []string // those in which plugins look for credentials that do not run in the first part of the chain
	part    chain.Part
	debug   *debugview.Options // without a log; nil where nothing is shown
	decoded *decodings
}

// spec is a plugin of a plan.
type spec struct {
	entry
	consumers *consumerList // whom it may find, or nil
	key       digest        // of the instance
}

// newPlan orders the plugins of a complete document, and checks all but the plugins' configurations.
func (r *reading) newPlan(host string, d *checked) *plan {
	p := &plan{doc: d, secrets: r.reader(), settings: settings{
		host: host, timeout: d.doc.Timeout, any: d.doc.Authentication == document.AnyScheme,
		header: strings.ToLower(d.doc.ConsumerHeader), traces: traces(d.doc), metrics: d.doc.Metrics, decoded: &decodings{},
	}}
	p.specs = r.specs(host, d.entries, d)
	p.authn = slices.ContainsFunc(d.entries, func(e entry) bool { return e.reg != nil && e.reg.Stage == filter.Authn })
	p.owned, p.later, p.part = r.owned(d), r.readLater(d), partOf(d.doc)
	if p.part != (chain.Part{}) && d.doc.Order == document.AsListed {
		r.fail("order", "plugins that run as listed cannot be divided among filters by their stages")
	}
	p.debug = r.debug(d.doc.Debug)
	own := newHash()
	own.debug(d.doc.Debug, r.reader())
	fmt.Fprintf(own.h, "%d;%t;%q;%t;%q;%q;%v;%q;%q;", p.timeout, p.any, p.header, p.authn, p.owned, p.later, p.part,
		fmt.Sprint(p.traces), p.metrics)
	for i := range p.specs {
		own.h.Write(p.specs[i].key[:])
		own.logs(&p.specs[i].Plugin)
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
			own.value(e.EntryID())
			own.value(data(e.Config))
			own.h.Write([]byte{boolByte(e.Off())})
			own.logs(&e.Plugin)
		}
	}
	p.key = own.sum()
	return p
}

// forConsumer plans the chain of a consumer, whose entries stand at path, over that of base.
func (r *reading) forConsumer(base *plan, path, name string, entries []entry) *plan {
	before, d := len(r.errs), base.doc
	cp := &plan{settings: base.settings, secrets: r.reader()}
	cp.specs = r.specs(base.host, r.mergeEntries(d.entries, entries), d)
	h := newHash()
	for i := range cp.specs {
		h.h.Write(cp.specs[i].key[:])
		h.logs(&cp.specs[i].Plugin)
	}
	cp.key = h.sum()
	if slices.ContainsFunc(entries, early) { // reported when the document was read
		return cp
	}
	if n := authnEnd(base.specs); len(r.errs) == before &&
		(n != authnEnd(cp.specs) || !slices.EqualFunc(base.specs[:n], cp.specs[:n], sameInstance)) {
		r.fail(path+".plugins", "consumer %s changes plugins that run before the last one of stage authn, "+
			"when it is not known yet who the consumer is; list those after it", quoted(name))
	}
	return cp
}

// traces returns what of a document's streams is in their traces.
func traces(d *document.Document) telemetry.Traces {
	t := telemetry.Traces{Detail: telemetry.Detail(d.Traces), Sampling: 1}
	if d.TraceSampling != nil {
		t.Sampling = *d.TraceSampling
	}
	return t
}

// early reports whether a plugin runs before it is known who the consumer is.
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

// specs picks the entries that are on, in the order in which they run. It fails for those that change a plugin which
// the filter does not have.
func (r *reading) specs(host string, entries []entry, d *checked) []spec {
	var specs []spec
	for _, e := range entries {
		switch {
		case e.Off():
			continue
		case e.reg == nil && e.Name == "":
			r.fail(e.path+".id", "the filter has no plugin with id %s; give its name to add one", quoted(e.ID))
			continue
		case e.reg == nil: // reported when the document was read
			continue
		case !runs(d.doc, e.reg.Stage):
			continue
		}
		s := spec{entry: e}
		h := newHash()
		h.value(host)
		h.value(e.reg.Name)
		h.value(e.EntryID())
		if e.Config != nil { // none and an empty one are the same
			h.value(e.Config)
		} else {
			h.value(map[string]any{})
		}
		h.secrets(data(e.Config), r.reader())
		if d.consumers.knows(e.reg) {
			s.consumers = d.consumers
			h.h.Write(d.consumers.digest[:])
			credentials := d.consumers.plugins[e.reg.Name]
			h.h.Write(credentials[:])
			h.source(d.consumers.source)
		}
		s.key = h.sum()
		specs = append(specs, s)
	}
	if len(specs) > maxPlugins {
		r.fail("plugins", "%d plugins in one chain; the limit is %d", len(specs), maxPlugins)
	}
	if d.doc.Order != document.AsListed {
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

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// decoding is a plugin's struct, complete and validated, with the secrets in it.
type decoding struct {
	value   any
	secrets []string
}

// decodings are the plugins that were decoded when a plan was checked, for the instances that are made of it. Each is
// for one instance: Provision may change it.
type decodings struct {
	mu sync.Mutex
	m  map[digest]*decoding
}

func (d *decodings) put(key digest, v *decoding) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.m == nil {
		d.m = map[digest]*decoding{}
	}
	d.m[key] = v
}

func (d *decodings) take(key digest) *decoding {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.m[key]
	delete(d.m, key)
	return v
}

// forget drops what nobody has taken, so that plans of chains that are made later do not keep it.
func (d *decodings) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.m = nil
}

// decode returns a plugin's struct: what the plan's check has decoded, or else it is decoded now, from the same secrets.
func (p *plan) decode(s *spec, caps filter.Capability) (*decoding, error) {
	if d := p.decoded.take(s.key); d != nil {
		return d, nil
	}
	if lacking := s.reg.Needs &^ caps; lacking != 0 {
		return nil, config.Errors{{Path: s.path, Plugin: s.reg.Name, Msg: fmt.Sprintf(
			"needs %v, which this host cannot; docs/hosts.md tells which can", lacking)}}
	}
	d := &config.Decoder{Path: s.configPath, Plugin: s.reg.Name, Reader: p.secrets}
	into := s.reg.New()
	if err := d.Decode(data(s.Config), into); err != nil {
		return nil, err
	}
	return &decoding{into, d.Secrets()}, nil
}

// check decodes every plugin whose instance is not live, and returns all errors.
func (p *plan) check(caps filter.Capability, live func(digest) bool) error {
	r := &reading{}
	seen := map[digest]bool{}
	var walk func(*plan)
	walk = func(p *plan) {
		for i := range p.specs {
			s := &p.specs[i]
			if seen[s.key] || live(s.key) {
				continue
			}
			seen[s.key] = true
			if d, err := p.decode(s, caps); err != nil {
				r.add(err)
			} else {
				p.decoded.put(s.key, d)
			}
		}
		for _, c := range p.forWhom {
			walk(c)
		}
	}
	walk(p)
	return r.errs.Err()
}
