// Package clientaddr finds out from which address a request comes, where proxies stand between.
package clientaddr

import (
	"errors"
	"net/netip"
	"strings"

	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/ipset"
)

// Finder says where a client's address is found.
type Finder struct {
	// Address says where the client's address is found: source is the one that Envoy has determined, xForwardedFor the
	// header of that name, forwarded that of RFC 7239.
	Address string `json:"address" default:"source" enum:"source,xForwardedFor,forwarded"`
	// TrustedHops is how many addresses at the end of the header are those of proxies that are trusted; the client's
	// is the one before them.
	TrustedHops int `json:"trustedHops" validate:"min=0,max=100"`
	// TrustedProxies lists the networks of proxies that are trusted, in place of trustedHops: the client's address is the
	// last one in the header that is in none of them.
	TrustedProxies []netip.Prefix `json:"trustedProxies"`

	proxies *ipset.Set
}

// Validate checks that the fields fit together, and prepares Find.
func (f *Finder) Validate() error {
	header := f.Address == "xForwardedFor" || f.Address == "forwarded"
	f.proxies = ipset.New(f.TrustedProxies)
	switch {
	case f.TrustedHops != 0 && !header:
		return errors.New("trustedHops: is for address: xForwardedFor and forwarded only")
	case len(f.TrustedProxies) > 0 && !header:
		return errors.New("trustedProxies: is for address: xForwardedFor and forwarded only")
	case f.TrustedHops != 0 && len(f.TrustedProxies) > 0:
		return errors.New("trustedProxies: trustedHops and trustedProxies are mutually exclusive")
	}
	return nil
}

// Why there is no address. Where the error is ErrSource, Envoy knows none, as with a Unix socket. Otherwise the client may
// have written what is wrong.
var (
	ErrSource    = errors.New("the request comes from no IP address")
	errXFF       = errors.New("x-forwarded-for has no address at this place")
	errForwarded = errors.New("forwarded has no address at this place")
)

// Find returns the address of a request. mode warns where clients can choose what Envoy takes for it.
func (f *Finder) Find(mode *authz.Mode, r *authz.Request) (netip.Addr, error) {
	switch f.Address {
	case "xForwardedFor":
		return f.last(backwards(r.Headers.Values("x-forwarded-for")), errXFF)
	case "forwarded":
		return f.last(fors(r.Headers.Values("forwarded")), errForwarded)
	}
	if a := mode.Source(r).Addr(); a.IsValid() {
		return a, nil
	}
	return netip.Addr{}, ErrSource
}

// last returns the last address that is not that of a trusted proxy, of a list from its end. Only what stands before a
// trusted proxy's address can be trusted. When all are trusted, it is the first.
func (f *Finder) last(each func(yield func(string) bool), none error) (client netip.Addr, err error) {
	hops, found := f.TrustedHops, false
	err = none
	each(func(text string) bool {
		a, bad := parse(strings.Trim(text, " \t"))
		switch {
		case bad != nil:
			client, err, found = netip.Addr{}, none, true
		case len(f.TrustedProxies) > 0:
			client, err, found = a, nil, !f.proxies.Has(a)
		default:
			if found = hops == 0; found {
				client, err = a, nil
			}
			hops--
		}
		return !found
	})
	return client, err
}

// backwards goes through the elements of lists with commas, from the last.
func backwards(values []string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := len(values) - 1; i >= 0; i-- {
			rest, more := values[i], true
			for more {
				text := rest
				at := strings.LastIndexByte(rest, ',')
				if more = at >= 0; more {
					rest, text = rest[:at], rest[at+1:]
				}
				if !yield(text) {
					return
				}
			}
		}
	}
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
		return netip.ParseAddr(text[1 : n-1])
	}
	return netip.Addr{}, errXFF
}
