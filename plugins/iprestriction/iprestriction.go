// Package iprestriction lets requests pass by the address that they come from.
package iprestriction

import (
	"embed"
	"errors"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/clientaddr"
	"mosn.io/moe/plugins/internal/iplists"
)

// IPRestriction denies the requests whose client address is in a list, or in none.
type IPRestriction struct {
	iplists.Lists
	clientaddr.Finder
	authz.Common
}

//go:embed README.md schema.json
var docs embed.FS

func init() { filter.Register[IPRestriction]("iprestriction", filter.Access, filter.Docs(docs)) }

// Validate refuses a configuration that denies nothing.
func (p *IPRestriction) Validate() error { return errors.Join(p.Lists.Validate(), p.Finder.Validate()) }

// Provision reads the files and goes on to follow them.
func (p *IPRestriction) Provision(env *filter.Env) error {
	p.Common.Start(env)
	return p.Lists.Start(env)
}

// rawPath is for the log only.
var rawPath = authz.Path{Mode: "raw"}

// OnRequestHeaders looks the address up.
func (p *IPRestriction) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	r, _ := rawPath.Request(s, h)
	return p.Conclude(&r, p.verdict(&r))
}

func (p *IPRestriction) verdict(r *authz.Request) authz.Verdict {
	addr, err := p.Find(&p.Mode, r)
	switch {
	case errors.Is(err, clientaddr.ErrSource):
		return authz.Fail(err)
	case err != nil:
		// The client may have written it: no error of the rules, with which failOpen would let it pass.
		return authz.Verdict{Reason: err.Error()}
	}
	if reason := p.Refuses(addr); reason != "" {
		return authz.Verdict{Reason: reason}
	}
	return authz.Allow
}
