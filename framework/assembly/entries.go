package assembly

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
)

// entry is a plugin of a document.
type entry struct {
	document.Plugin
	path, configPath string               // where the entry and its configuration are written
	reg              *filter.Registration // nil only in an entry that gives its id alone and changes that of a parent
}

// reading is the checking of a document, of several that are merged, or of consumers: it collects what is wrong with
// them, and reads every secret once.
type reading struct {
	errs    config.Errors
	secrets *config.SecretReader
}

func (r *reading) reader() *config.SecretReader {
	if r.secrets == nil {
		r.secrets = &config.SecretReader{}
	}
	return r.secrets
}

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

func (r *reading) has(path string) bool {
	return slices.ContainsFunc(r.errs, func(e config.Error) bool { return e.Path == path })
}

func (r *reading) lookup(path, name, what string) *filter.Registration {
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
	r.fail(path, "%s", config.Unknown(what, name, names))
	return nil
}

// entries checks the list of plugins at path.
func (r *reading) entries(path string, list []document.Plugin, l level) []entry {
	var entries []entry
	seen := map[string]bool{}
	for i, p := range list {
		if len(r.errs) >= maxErrors {
			break
		}
		at := config.Index(path, i)
		e := entry{Plugin: p, path: at, configPath: at + ".config"}
		switch {
		case p.Name != "":
			e.reg = r.lookup(at+".name", p.Name, "plugin "+quoted(p.Name))
			if e.reg == nil {
				continue
			}
		case l == ofFilter || p.ID == "":
			if !r.has(at) && !r.has(at+".name") {
				r.fail(at+".name", "is required: the name of a plugin")
			}
			continue
		}
		id := p.EntryID()
		if !validID(id) { // it is part of metrics' names
			r.fail(at+".id", "expected up to 64 letters, digits, - and _")
			continue
		}
		if seen[id] {
			if p.ID != "" {
				r.fail(at+".id", "duplicate id %s", quoted(id))
			} else {
				r.fail(at, "duplicate plugin %s; give each an id of its own", quoted(id))
			}
			continue
		}
		seen[id] = true
		if n := p.LogRepeats; n != nil && *n < 0 && !r.has(at+".logRepeats") {
			r.fail(at+".logRepeats", "expected a number of 0 or more; 0 removes the limit")
		}
		r.check(&e, l)
		entries = append(entries, e)
	}
	return entries
}

func validID(id string) bool { return !strings.HasPrefix(config.Key("", id), "[") }

// check checks the fields and types of a configuration that is not complete, or not in use. That of a filter's enabled
// plugin is decoded later, as a whole.
func (r *reading) check(e *entry, l level) {
	if e.reg == nil || l == ofFilter && !e.Off() || l != ofFilter && config.HasMerge(e.reg.Config) {
		return
	}
	r.add((&config.Decoder{Path: e.configPath, Plugin: e.reg.Name, Partial: true}).Decode(data(e.Config), e.reg.New()))
}

// plugins returns the entries as the document has them.
func plugins(entries []entry) []document.Plugin {
	list := make([]document.Plugin, len(entries))
	for i, e := range entries {
		list[i] = e.Plugin
	}
	return list
}

// data keeps a nil map from being a value.
func data(m map[string]any) any {
	if m == nil {
		return nil
	}
	return m
}

// quoted quotes a name of the document's for a message, and cuts a long one.
func quoted(s string) string {
	const most = 40
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strconv.Quote(s)
}
