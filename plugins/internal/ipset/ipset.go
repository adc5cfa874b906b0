// Package ipset finds out whether an address is in one of many networks.
package ipset

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Set is a set of addresses, as sorted ranges that do not touch: looking one up is a binary search. It is not changed
// once it is made, and may be used from any goroutine. The zero Set is empty.
type Set struct {
	v4 []span[uint32]
	v6 []span[u128]
}

type span[A any] struct{ first, last A }

type u128 struct{ hi, lo uint64 }

// New returns the set of the addresses in networks. IPv4-mapped IPv6 networks (::ffff:0:0/96 and longer ones) are the
// IPv4 networks that they map.
func New(networks []netip.Prefix) *Set {
	s := &Set{}
	for _, p := range networks {
		p = Canonical(p)
		a := p.Addr()
		if a.Is4() {
			first, mask := v4(a), uint32(1)<<(32-p.Bits())-1
			s.v4 = append(s.v4, span[uint32]{first &^ mask, first | mask})
			continue
		}
		first, mask := v6(a), ones(128-p.Bits())
		s.v6 = append(s.v6, span[u128]{
			u128{first.hi &^ mask.hi, first.lo &^ mask.lo}, u128{first.hi | mask.hi, first.lo | mask.lo},
		})
	}
	s.v4 = join(s.v4, cmp.Compare[uint32])
	s.v6 = join(s.v6, compare)
	return s
}

// join sorts spans and joins those that overlap.
func join[A any](spans []span[A], compare func(a, b A) int) []span[A] {
	slices.SortFunc(spans, func(a, b span[A]) int { return compare(a.first, b.first) })
	n := 0
	for _, s := range spans {
		if n > 0 && compare(s.first, spans[n-1].last) <= 0 {
			if compare(s.last, spans[n-1].last) > 0 {
				spans[n-1].last = s.last
			}
			continue
		}
		spans[n] = s
		n++
	}
	return slices.Clip(spans[:n])
}

// Canonical returns p with an IPv4-mapped address as the IPv4 one.
func Canonical(p netip.Prefix) netip.Prefix {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p
}

// Len returns the number of ranges.
func (s *Set) Len() int { return len(s.v4) + len(s.v6) }

// Has reports whether a is in the set. An IPv4-mapped IPv6 address is the IPv4 one, and a zone does not matter.
func (s *Set) Has(a netip.Addr) bool {
	a = a.Unmap()
	switch {
	case a.Is4():
		x := v4(a)
		lo, hi := 0, len(s.v4)
		for lo < hi {
			if mid := int(uint(lo+hi) >> 1); s.v4[mid].last < x {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		return lo < len(s.v4) && s.v4[lo].first <= x
	case a.Is6():
		x := v6(a)
		lo, hi := 0, len(s.v6)
		for lo < hi {
			if mid := int(uint(lo+hi) >> 1); compare(s.v6[mid].last, x) < 0 {
				lo = mid + 1
			} else {
				hi = mid
			}
		}
		return lo < len(s.v6) && compare(s.v6[lo].first, x) <= 0
	}
	return false
}

func v4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func v6(a netip.Addr) u128 {
	b := a.As16()
	return u128{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func ones(n int) u128 {
	if n >= 64 {
		return u128{uint64(1)<<(n-64) - 1, ^uint64(0)}
	}
	return u128{0, uint64(1)<<n - 1}
}

func compare(a, b u128) int {
	if a.hi != b.hi {
		return cmp.Compare(a.hi, b.hi)
	}
	return cmp.Compare(a.lo, b.lo)
}

var errNetwork = errors.New(`expected a network such as "10.0.0.0/8" or an address`)

// ParseNetwork reads a network in CIDR notation; an address is the network that has only it.
func ParseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, errNetwork
	}
	return p, nil
}

// ParseFile reads a list of networks, one per line. Empty lines, and what follows a "#" or a ";", are comments. The error
// says which line is wrong.
func ParseFile(name string, data []byte) ([]netip.Prefix, error) {
	var list []netip.Prefix
	n := 0
	for line := range bytes.Lines(data) {
		n++
		text := string(line)
		if i := strings.IndexAny(text, "#;"); i >= 0 {
			text = text[:i]
		}
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		p, err := ParseNetwork(text)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		list = append(list, p)
	}
	return list, nil
}

// Network returns the network with addr in it whose size is v4 or v6 bits, or the zero Prefix for no IP address.
func Network(addr netip.Addr, v4, v6 int) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := v6
	if addr.Is4() {
		bits = v4
	}
	network, _ := addr.Prefix(bits)
	return network
}
