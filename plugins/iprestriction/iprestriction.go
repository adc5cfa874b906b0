// Package iprestriction lets requests pass by the address that they come from.
package iprestriction

import (
	"embed"
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
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
	// Address says where the client's address is found: source is the one that Envoy has determined, xForwardedFor the
	// header of that name.
	Address string `json:"address" default:"source" enum:"source,xForwardedFor"`
	// TrustedHops is how many addresses at the end of x-forwarded-for are those of proxies that are trusted; the client's
	// is the one before them.
	TrustedHops int `json:"trustedHops" validate:"min=0,max=100"`
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
	errs := []error{p.Files.Validate()}
	if len(p.Allow) == 0 && len(p.Deny) == 0 && p.AllowFile == "" && p.DenyFile == "" {
		errs = append(errs, errors.New("allow, deny, allowFile and denyFile are all empty: give one list"))
	}
	if p.TrustedHops != 0 && p.Address != "xForwardedFor" {
		errs = append(errs, errors.New("trustedHops: is for address: xForwardedFor only"))
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

var (
	errNoAddress = errors.New("the request comes from no IP address")
	errForwarded = errors.New("x-forwarded-for has no address at this place")
)

const (
	inDeny  = "the address is in the list deny"
	noAllow = "the address is not in the list allow"
)

func (p *IPRestriction) verdict(r *authz.Request) authz.Verdict {
	addr := netip.Addr{}
	if p.Address == "xForwardedFor" {
		var err error
		if addr, err = forwarded(r.Headers.Values("x-forwarded-for"), p.TrustedHops); err != nil {
			// The client may have written it: no error of the rules, with which failOpen would let it pass.
			return authz.Verdict{Reason: err.Error()}
		}
	} else if addr = p.Source(r).Addr(); !addr.IsValid() {
		return authz.Fail(errNoAddress)
	}
	switch rules := p.rules.Load(); {
	case rules.deny.Has(addr):
		return authz.Verdict{Reason: inDeny}
	case rules.allow != nil && !rules.allow.Has(addr):
		return authz.Verdict{Reason: noAllow}
	}
	return authz.Allow
}

// forwarded returns the address that has hops others after it, in header fields in order.
func forwarded(values []string, hops int) (netip.Addr, error) {
	for i := len(values) - 1; i >= 0; i-- {
		rest, more := values[i], true
		for more {
			text := rest
			at := strings.LastIndexByte(rest, ',')
			if more = at >= 0; more {
				rest, text = rest[:at], rest[at+1:]
			}
			a, err := parse(strings.Trim(text, " \t"))
			if hops == 0 || err != nil { // only what stands before a trusted proxy's address can be trusted
				return a, err
			}
			hops--
		}
	}
	return netip.Addr{}, errForwarded
}

// parse reads an address as proxies write it, with or without a port.
func parse(text string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return a, nil
	}
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr(), nil
	}
	if n := len(text); n > 2 && text[0] == '[' && text[n-1] == ']' {
		if a, err := netip.ParseAddr(text[1 : n-1]); err == nil {
			return a, nil
		}
	}
	return netip.Addr{}, errForwarded
}
