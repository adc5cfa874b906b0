package assembly

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/internal/core"
)

// ChainName is the name of a filter whose document lists plugins; any other name is one plugin's.
const ChainName = "moe"

// maxPlugins bounds a chain.
const maxPlugins = 100

// maxErrors is after how many mistakes no more are looked for.
const maxErrors = 1000

// minPoll bounds what looking at files costs.
const minPoll = 10 * time.Millisecond

// checked is a document that has been checked as far as it can be alone.
type checked struct {
	doc       *document.Document
	single    bool // it is the configuration of one plugin, whose entry has no place in a list
	entries   []entry
	consumers *consumerList
	generic   []GenericSecret // a filter's only
}

// level tells whose document is read; a route's and a consumer's may leave out what the filter's has.
type level int

const (
	ofFilter level = iota
	ofRoute
	ofConsumer
)

// read checks a document for the filter, or route, of that name. It returns nil where nothing can be made of it.
func (r *reading) read(name string, data any, l level) *checked {
	if name != ChainName {
		return r.single(name, data, l)
	}
	if data == nil && l == ofFilter {
		r.fail("", `expected an object with "plugins", got nothing`)
		return nil
	}
	d := &document.Document{}
	r.add(document.Decode(data, d))
	object, _ := data.(map[string]any)
	r.checkPlugins(object, d, l)
	if object["timeout"] != nil && d.Timeout <= 0 && !r.has("timeout") {
		r.fail("timeout", "expected a duration above 0; leave it out for 30s")
	}
	r.checkHeader(d.ConsumerHeader)
	if s := d.TraceSampling; s != nil && (*s < 0 || *s > 1) && !r.has("traceSampling") {
		r.fail("traceSampling", "expected a number from 0 to 1")
	}
	r.checkSource(d.ConsumerSource)
	r.checkStages(d, l)
	c := &checked{doc: d}
	c.entries = r.entries("plugins", d.Plugins, l)
	c.consumers = r.consumers(d)
	c.generic = r.genericSecrets(d.GenericSecrets, l)
	return c
}

// checkPlugins checks that a filter's document lists any.
func (r *reading) checkPlugins(object map[string]any, d *document.Document, l level) {
	if object == nil || l != ofFilter || len(d.Plugins) > 0 || r.has("plugins") {
		return
	}
	switch _, ok := object["plugins"]; {
	case ok:
		r.fail("plugins", "the list is empty; add a plugin, as - name: NAME, or remove the filter")
	case len(r.errs) == 0:
		r.fail("plugins", "is required; list at least one plugin, as - name: NAME")
	}
}

// checkHeader checks the name of the header that consumers' names are sent in.
func (r *reading) checkHeader(name string) {
	name = strings.ToLower(name)
	switch {
	case name == "":
	case !internals.ValidReplyField(core.Field{Name: name, Value: "x"}):
		r.fail("consumerHeader", "expected the name of a header")
	case name == "host" || name == "content-length" || name == "connection":
		r.fail("consumerHeader", "%s has a meaning of its own; choose another header", name)
	}
}

func (r *reading) checkSource(s *document.Source) {
	switch {
	case s == nil || r.has("consumerSource"):
		return
	case s.Path == "" && !r.has("consumerSource.path"):
		r.fail("consumerSource.path", "is required")
	}
	if s.Poll < minPoll && !r.has("consumerSource.poll") {
		r.fail("consumerSource.poll", "expected 10ms at least")
	}
}

// single reads a document that is the configuration of one plugin.
func (r *reading) single(name string, data any, l level) *checked {
	reg := r.lookup("", name, "plugin "+strconv.Quote(name))
	if reg == nil {
		return nil
	}
	object, ok := data.(map[string]any)
	if !ok && data != nil {
		r.add((&config.Decoder{Plugin: name, Partial: true}).Decode(data, reg.New()))
		return nil
	}
	d := &document.Document{}
	d.Plugins = []document.Plugin{{Name: name, Config: object}}
	e := entry{Plugin: d.Plugins[0], reg: reg}
	r.check(&e, l)
	return &checked{doc: d, single: true, entries: []entry{e}, consumers: r.consumers(d)}
}

// has reports whether the document, which is a filter's, has an entry with that id.
func (c *checked) has(id string) bool {
	return slices.ContainsFunc(c.entries, func(e entry) bool { return e.EntryID() == id })
}

// relocate moves errors whose paths are those of c.doc to where the operator has written what they are about.
func (c *checked) relocate(err error) error {
	es, ok := err.(config.Errors)
	if !ok || !c.single {
		return err
	}
	moved := slices.Clone(es)
	for i, e := range moved {
		path := strings.TrimPrefix(strings.TrimPrefix(e.Path, "plugins[0]"), ".config")
		moved[i].Path = strings.TrimPrefix(path, ".")
	}
	return moved
}
