package assembly

import (
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

func capabilities(host core.ConfigHost) filter.Capability {
	return filter.Capability(host.Capabilities())
}

func never(digest) bool { return false }

// load reads, plans and checks the document of a filter, and goes on after a mistake to find the others. It decodes the
// plugins whose instances are not live. noLists is why the document may list no secrets, or nil.
func load(
	host, name string, doc any, caps filter.Capability, live func(digest) bool, noLists error,
) (*checked, *plan, error) {
	r := &reading{}
	d := r.read(name, doc, ofFilter)
	if d == nil {
		return nil, nil, r.errs.Err()
	}
	if len(d.generic) > 0 {
		r.add(noLists)
	}
	p := r.newPlan(host, d)
	r.add(p.check(caps, live))
	return d, p, r.errs.Err()
}

// Validate checks the document of a filter, as [Assembler.Filter] does, without provisioning anything, for a host with
// caps. It returns nil or config.Errors with every mistake.
func Validate(name string, doc any, caps filter.Capability) error {
	_, _, err := load("", name, doc, caps, never, noSecrets(caps))
	return err
}

// ValidateRoute checks the document of a route, alone and merged over the filter's. Of a filter's document that is
// wrong by itself, nothing is said; that is for [Validate].
func ValidateRoute(name string, doc, route any, caps filter.Capability) error {
	r := &reading{}
	child := r.read(name, route, ofRoute)
	if err := r.errs.Err(); err != nil {
		return err
	}
	parent, _, err := load("", name, doc, caps, never, noSecrets(caps))
	if err != nil {
		return nil
	}
	p := r.newPlan("", r.merge(parent, child))
	r.add(p.check(caps, never))
	return r.errs.Err()
}
