package assembly

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// ChainName is the name of a filter whose document lists plugins; any other name is one plugin's.
const ChainName = "moe"

// maxPlugins bounds a chain: it numbers its plugins in a byte.
const maxPlugins = 100

// maxErrors is after how many mistakes no more are looked for.
const maxErrors = 1000

// Orders of a chain.
const (
	orderStage  = "stage"
	orderListed = "listed"
)

// anyScheme is the authentication of a chain that one plugin's credential is enough for.
const anyScheme = "any"

// rawDocument is DESIGN's configuration document as it is written.
type rawDocument struct {
	Plugins   []rawEntry    `json:"plugins"`
	Consumers []rawConsumer `json:"consumers"`
	Order     string        `json:"order" enum:"stage,listed"`
	Timeout   time.Duration `json:"timeout"`

	Authentication string `json:"authentication" enum:"all,any"`
	ConsumerHeader string `json:"consumerHeader"`

	ConsumerSource *source `json:"consumerSource"`

	GenericSecrets []rawSecret `json:"generic_secrets"`
}

type rawEntry struct {
	Name     string         `json:"name"`
	ID       string         `json:"id"`
	Config   map[string]any `json:"config"`
	Disabled *bool          `json:"disabled"`
}

type rawConsumer struct {
	Name        string                    `json:"name"`
	Labels      map[string]string         `json:"labels"`
	Groups      []string                  `json:"groups"`
	Attributes  map[string]any            `json:"attributes"`
	Credentials map[string]map[string]any `json:"credentials"`
	Plugins     []rawEntry                `json:"plugins"`
}

// document is one that has been checked as far as it can be alone.
type document struct {
	entries   []entry
	consumers *consumers
	order     string        // "": not said
	timeout   time.Duration // 0: not said

	authentication, header string // "": not said

	secrets []GenericSecret // a filter's only
}

// entry is a plugin of a document.
type entry struct {
	id, path   string // path is the entry's
	configPath string
	reg        *filter.Registration // nil only in a child's entry, which then takes its parent's
	config     map[string]any
	disabled   *bool
}

func (e *entry) off() bool { return e.disabled != nil && *e.disabled }

// level tells whose document is read; a route's and a consumer's may leave out what the filter's has.
type level int

const (
	ofFilter level = iota
	ofRoute
	ofConsumer
)

// reading collects what is wrong with a document.
type reading struct{ errs config.Errors }

func (r *reading) fail(path, format string, args ...any) {
	r.errs = append(r.errs, config.Error{Path: path, Msg: fmt.Sprintf(format, args...)})
}

func (r *reading) add(err error) {
	if es, ok := err.(config.Errors); ok {
		r.errs = append(r.errs, es...)
	} else if err != nil {
		r.fail("", "%v", err)
	}
}

// read checks a document for the filter, or route, of that name. The document is usable if there is no error.
func read(name string, doc any, l level) (*document, error) {
	r := &reading{}
	if name != ChainName {
		return r.single(name, doc, l), r.errs.Err()
	}
	if doc == nil && l == ofFilter {
		r.fail("", `expected an object with "plugins", got nothing`)
		return nil, r.errs.Err()
	}
	raw := &rawDocument{}
	r.add((&config.Decoder{Partial: true}).Decode(doc, raw))
	if m, ok := doc.(map[string]any); ok && l == ofFilter && len(raw.Plugins) == 0 && !r.has("plugins") {
		switch _, ok := m["plugins"]; {
		case ok:
			r.fail("plugins", "the list is empty; add a plugin, as - name: NAME, or take the filter out")
		case len(r.errs) == 0:
			r.fail("plugins", "is required; list at least one plugin, as - name: NAME")
		}
	}
	if m, ok := doc.(map[string]any); ok && m["timeout"] != nil && raw.Timeout <= 0 && !r.has("timeout") {
		r.fail("timeout", "expected a duration above 0; leave it out for 30s")
	}
	d := &document{
		order: raw.Order, timeout: raw.Timeout,
		authentication: raw.Authentication, header: r.header(raw.ConsumerHeader),
	}
	d.entries = r.entries("plugins", raw.Plugins, l)
	if src := raw.ConsumerSource; src != nil && src.Poll < minPoll && !r.has("consumerSource.poll") {
		r.fail("consumerSource.poll", "expected 10ms at least")
	}
	d.consumers = r.consumers(raw.Consumers, raw.ConsumerSource)
	d.secrets = r.secrets(raw.GenericSecrets, l)
	return d, r.errs.Err()
}

// header checks the name of the header that consumers' names are sent in.
func (r *reading) header(name string) string {
	name = strings.ToLower(name)
	switch {
	case name == "":
	case !internals.ValidReplyField(core.Field{Name: name, Value: "x"}):
		r.fail("consumerHeader", "expected the name of a header")
	case name == "host" || name == "content-length" || name == "connection":
		r.fail("consumerHeader", "%s has a meaning of its own; choose another header", name)
	}
	return name
}

func (r *reading) has(path string) bool {
	return slices.ContainsFunc(r.errs, func(e config.Error) bool { return e.Path == path })
}

// single reads a document that is the configuration of one plugin.
func (r *reading) single(name string, doc any, l level) *document {
	reg := r.lookup("", name, "plugin "+strconv.Quote(name), "")
	if reg == nil {
		return nil
	}
	e := entry{id: name, reg: reg}
	var ok bool
	if e.config, ok = doc.(map[string]any); !ok && doc != nil {
		r.add((&config.Decoder{Plugin: name, Partial: true}).Decode(doc, reg.New()))
		return nil
	}
	r.check(&e, l)
	return &document{entries: []entry{e}, consumers: r.consumers(nil, nil)}
}

func (r *reading) lookup(path, name, what, hint string) *filter.Registration {
	if reg := filter.Lookup(name); reg != nil {
		return reg
	}
	var names []string
	for _, reg := range filter.Registrations() {
		names = append(names, reg.Name)
	}
	if path == "" {
		names = append(names, ChainName)
	}
	r.fail(path, "%s%s", config.Unknown(what, name, names), hint)
	return nil
}

func (r *reading) entries(path string, raw []rawEntry, l level) []entry {
	var entries []entry
	seen := map[string]bool{}
	for i, re := range raw {
		if len(r.errs) >= maxErrors {
			break
		}
		at := config.Index(path, i)
		e := entry{id: cmp.Or(re.ID, re.Name), path: at, configPath: at + ".config", config: re.Config, disabled: re.Disabled}
		switch {
		case re.Name != "":
			e.reg = r.lookup(at+".name", re.Name, "plugin "+quoted(re.Name), "")
			if e.reg == nil {
				continue
			}
		case l == ofFilter || re.ID == "":
			if !r.has(at) && !r.has(at+".name") {
				r.fail(at+".name", "is required: the name of a plugin")
			}
			continue
		}
		if !validID(e.id) { // it is part of metrics' names
			r.fail(at+".id", "expected up to 64 letters, digits, - and _")
			continue
		}
		if seen[e.id] {
			if re.ID != "" {
				r.fail(at+".id", "id %s is there twice; ids must differ", quoted(e.id))
			} else {
				r.fail(at, "plugin %s is there twice; give each an id of its own", quoted(e.id))
			}
			continue
		}
		seen[e.id] = true
		r.check(&e, l)
		entries = append(entries, e)
	}
	return entries
}

func validID(id string) bool { return !strings.HasPrefix(config.Key("", id), "[") }

// check looks at a configuration that is not complete, or not in use: its fields and types. That of a filter's enabled
// plugin is decoded later, as a whole.
func (r *reading) check(e *entry, l level) {
	if e.reg == nil || l == ofFilter && !e.off() || l != ofFilter && config.HasMerge(e.reg.Config) {
		return
	}
	r.add((&config.Decoder{Path: e.configPath, Plugin: e.reg.Name, Partial: true}).Decode(e.config, e.reg.New()))
}

// quoted quotes a name of the document's for a message, and cuts a long one.
func quoted(s string) string {
	const most = 40
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strconv.Quote(s)
}
