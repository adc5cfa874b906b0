// Package iplists is for plugins that let in, or keep out, the addresses of lists: in the configuration, and in files that
// may change.
package iplists

import (
	"errors"
	"net/netip"
	"sync/atomic"

	"mosn.io/moe/framework/extension"
	"mosn.io/moe/plugins/internal/ipset"
	"mosn.io/moe/plugins/internal/reload"
)

// Lists are part of a plugin's configuration.
type Lists struct {
	// Allow lists the networks and addresses that may call. If it and allowFile are missing, all may that are not denied.
	Allow []netip.Prefix `json:"allow" merge:"append"`
	// Deny lists those that may not, even if they are in allow.
	Deny []netip.Prefix `json:"deny" merge:"append"`
	// AllowFile lists more networks and addresses that may call, one per line. It is read again when it changes.
	AllowFile string `json:"allowFile"`
	// DenyFile lists more that may not, in the same form.
	DenyFile string `json:"denyFile"`
	reload.Files

	rules atomic.Pointer[rules]
}

// rules are the lists as they are now.
type rules struct {
	allow *ipset.Set // nil: all
	deny  *ipset.Set
}

// Validate refuses lists that deny nothing.
func (l *Lists) Validate() error {
	errs := []error{l.Files.Validate()}
	if len(l.Allow) == 0 && len(l.Deny) == 0 && l.AllowFile == "" && l.DenyFile == "" {
		errs = append(errs, errors.New("allow, deny, allowFile and denyFile are all empty: give one list"))
	}
	if l.AllowFile != "" && l.AllowFile == l.DenyFile {
		errs = append(errs, errors.New("denyFile: must not be allowFile"))
	}
	return errors.Join(errs...)
}

// Start reads the files and goes on to follow them. It is to be called in Provision.
func (l *Lists) Start(env *extension.Env) error {
	var paths []string
	for _, f := range []string{l.AllowFile, l.DenyFile} {
		if f != "" {
			paths = append(paths, f)
		}
	}
	return l.Follow(env, nil, paths, l.load)
}

func (l *Lists) load(files []reload.File) error {
	allow, deny := l.Allow, l.Deny
	for _, f := range files {
		list, err := ipset.ParseFile(f.Path, f.Data)
		if err != nil {
			return err
		}
		if f.Path == l.AllowFile {
			allow = append(allow[:len(allow):len(allow)], list...)
		} else {
			deny = append(deny[:len(deny):len(deny)], list...)
		}
	}
	r := &rules{deny: ipset.New(deny)}
	if len(l.Allow) > 0 || l.AllowFile != "" { // an empty list allows no address
		r.allow = ipset.New(allow)
	}
	l.rules.Store(r)
	return nil
}

// Refuses returns why an address may not call, or "" if it may. It is to be called after Start.
func (l *Lists) Refuses(addr netip.Addr) (reason string) {
	switch rules := l.rules.Load(); {
	case rules.deny.Has(addr):
		return "the address is in the list deny"
	case rules.allow != nil && !rules.allow.Has(addr):
		return "the address is not in the list allow"
	}
	return ""
}
