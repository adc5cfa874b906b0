package assembly

import (
	"slices"
	"strings"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
)

// checkStages checks which stages a document has its filter run.
func (r *reading) checkStages(d *document.Document, l level) {
	given := d.Stages
	switch {
	case len(given) == 0:
		return
	case l != ofFilter:
		r.fail(document.StagesField, "belongs to the filter")
		return
	}
	from := slices.Index(document.Stages, given[0])
	if from < 0 {
		return // which decoding has reported
	}
	for i, name := range given {
		if at := slices.Index(document.Stages, name); at >= 0 && at != from+i {
			r.fail(config.Index(document.StagesField, i), "expected stages that follow each other, in their order: %s",
				strings.Join(document.Stages, ", "))
			return
		}
	}
}

// runs reports whether the filter of d runs plugins of a stage.
func runs(d *document.Document, s filter.Stage) bool {
	return len(d.Stages) == 0 || slices.Contains(d.Stages, s.String())
}

// partOf says which part of the plugins a document has its filter run.
func partOf(d *document.Document) chain.Part {
	return chain.Part{Follows: !runs(d, filter.Access), Leads: !runs(d, filter.Observe)}
}

// readLater returns the request headers in which plugins look for credentials that do not run in the first part of the
// chain, in lower case; nil where they do.
func (r *reading) readLater(d *checked) (names []string) {
	first, own := partOf(d.doc), runs(d.doc, filter.Authn)
	if first == (chain.Part{}) || own != first.Follows {
		return nil
	}
	for _, e := range d.entries {
		if e.reg == nil || e.reg.Stage != filter.Authn {
			continue
		}
		if reader, ok := bare[filter.CredentialReader](r, e); ok {
			for _, name := range ask(reader.ReadsCredentials).Headers {
				names = append(names, strings.ToLower(name))
			}
		}
	}
	return names
}
