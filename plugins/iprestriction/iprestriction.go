// Package iprestriction lets requests pass by the address that they come from.
package iprestriction

import (
	"embed"
	"errors"
	"net/netip"
	"sync/atomic"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/clientaddr"
	"mosn.io/moe/plugins/internal/ipset"
	"mosn.io/moe/plugins/internal/reload"
)

// IPRestriction denies the requests whose client address is in a list, or in none.
type IPRestriction struct {
	// Allow lists the networks and addresses that may call. If it and allowFile are missing, all may that are not denied.
	Allow []netip.Prefix `json:"allow" merge:"append"`
	// Deny lists those that may not, even if they are in allow.
	Deny []netip.Prefix `json:"deny" merge:"append"`
	// AllowFile lists more networks and addresses that may call, one per line. It is read again when it changes.
	AllowFile string `json:"allowFile"`
	// DenyFile lists more that may not, in the same form.
	DenyFile string `json:"denyFile"`
	clientaddr.Finder
	authz.Common
	reload.Files

	rules atomic.Pointer[rules]
}

// rules are the lists as they are now.
type rules struct {
	allow *ipset.Set // nil: all
	deny  *ipset.Set
}

//go:embed README.md schema.json
var docs embed.FS

func init() { filter.Register[IPRestriction]("iprestriction", filter.Access, filter.Docs(docs)) }

// Validate refuses a configuration that denies nothing.
func (p *IPRestriction) Validate() error {
	errs := []error{p.Files.Validate(), p.Finder.Validate()}
	if len(p.Allow) == 0 && len(p.Deny) == 0 && p.AllowFile == "" && p.DenyFile == "" {
		errs = append(errs, errors.New("allow, deny, allowFile and denyFile are all empty: give one list"))
	}
	if p.AllowFile != "" && p.AllowFile == p.DenyFile {
		errs = append(errs, errors.New("denyFile: must not be allowFile"))
	}
	return errors.Join(errs...)
}

// Provision reads the files and goes on to follow them.
func (p *IPRestriction) Provision(env *filter.Env) error {
	p.Start(env)
	var paths []string
	for _, f := range []string{p.AllowFile, p.DenyFile} {
		if f != "" {
			paths = append(paths, f)
		}
	}
	return p.Follow(env, nil, paths, p.load)
}

func (p *IPRestriction) load(files []reload.File) error {
	allow, deny := p.Allow, p.Deny
	for _, f := range files {
		list, err := ipset.ParseFile(f.Path, f.Data)
		if err != nil {
			return err
		}
		if f.Path == p.AllowFile {
			allow = append(allow[:len(allow):len(allow)], list...)
		} else {
			deny = append(deny[:len(deny):len(deny)], list...)
		}
	}
	r := &rules{deny: ipset.New(deny)}
	if len(p.Allow) > 0 || p.AllowFile != "" { // an empty list allows no address
		r.allow = ipset.New(allow)
	}
	p.rules.Store(r)
	return nil
}

// rawPath is for the log only.
var rawPath = authz.Path{Mode: "raw"}

// OnRequestHeaders looks the address up.
func (p *IPRestriction) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	r, _ := rawPath.Request(s, h)
	return p.Conclude(&r, p.verdict(&r))
}

const (
	inDeny  = "the address is in the list deny"
	noAllow = "the address is not in the list allow"
)

func (p *IPRestriction) verdict(r *authz.Request) authz.Verdict {
	addr, err := p.Find(&p.Mode, r)
	switch {
	case errors.Is(err, clientaddr.ErrSource):
		return authz.Fail(err)
	case err != nil:
		// The client may have written it: no error of the rules, with which failOpen would let it pass.
		return authz.Verdict{Reason: err.Error()}
	}
	switch rules := p.rules.Load(); {
	case rules.deny.Has(addr):
		return authz.Verdict{Reason: inDeny}
	case rules.allow != nil && !rules.allow.Has(addr):
		return authz.Verdict{Reason: noAllow}
	}
	return authz.Allow
}
