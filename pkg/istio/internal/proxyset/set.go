// Package proxyset is the algebra of sets of proxies: intersection, containment, and closure under intersection.
//
// A policy's selector describes a set of proxies. Where the sets of two policies overlap, some proxies run the plugins
// of both, and so need a chain of their own. [Close] adds every such overlap, so that each proxy has one innermost set,
// whose chain is the proxy's.
package proxyset

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Traffic says which of a proxy's requests are meant.
type Traffic string

// The kinds of traffic. FilterPolicies name them in spec.traffic.
const (
	Gateway  Traffic = "gateway"  // requests that a gateway receives
	Inbound  Traffic = "inbound"  // requests that a sidecar receives
	Outbound Traffic = "outbound" // requests that a sidecar sends
	Waypoint Traffic = "waypoint" // requests that a waypoint of an ambient mesh takes for its services
)

// Set is the proxies of one namespace whose pods have all the labels, or a part of what they serve. Its zero fields are not conditions: a set without a
// namespace spans all of them. Sets of different traffic have nothing in common.
type Set struct {
	Traffic   Traffic
	Namespace string
	Labels    map[string]string
	Host      string // the service that requests are for; of waypoints only
	Port      uint32 // of inbound traffic, and of a waypoint's service
}

// Key returns a text that is the same for equal sets and no others.
func (s Set) Key() string {
	var b strings.Builder
	b.WriteString(string(s.Traffic) + "|" + s.Namespace)
	for _, k := range slices.Sorted(maps.Keys(s.Labels)) {
		b.WriteString("|" + k + "=" + s.Labels[k])
	}
	if s.Host != "" {
		b.WriteString("|@" + s.Host)
	}
	if s.Port != 0 {
		b.WriteString("|:" + strconv.FormatUint(uint64(s.Port), 10))
	}
	return b.String()
}

// Size returns the number of conditions. If one set contains another, the inner one has the larger size.
func (s Set) Size() int {
	n := len(s.Labels)
	if s.Namespace != "" {
		n++
	}
	if s.Host != "" {
		n++
	}
	if s.Port != 0 {
		n++
	}
	return n
}

// Contains reports whether every proxy of o is in s.
func (s Set) Contains(o Set) bool {
	if s.Traffic != o.Traffic || s.Namespace != "" && s.Namespace != o.Namespace ||
		s.Host != "" && s.Host != o.Host || s.Port != 0 && s.Port != o.Port {
		return false
	}
	for k, v := range s.Labels {
		if w, ok := o.Labels[k]; !ok || w != v {
			return false
		}
	}
	return true
}

// Intersect returns the proxies that are in both sets; false if their conditions exclude each other.
func (s Set) Intersect(o Set) (Set, bool) {
	if s.Traffic != o.Traffic || s.Namespace != "" && o.Namespace != "" && s.Namespace != o.Namespace ||
		s.Host != "" && o.Host != "" && s.Host != o.Host || s.Port != 0 && o.Port != 0 && s.Port != o.Port {
		return Set{}, false
	}
	both := Set{
		Traffic: s.Traffic, Namespace: cmp.Or(s.Namespace, o.Namespace), Host: cmp.Or(s.Host, o.Host),
		Port: cmp.Or(s.Port, o.Port), Labels: maps.Clone(s.Labels),
	}
	for k, v := range o.Labels {
		if w, ok := both.Labels[k]; ok && w != v {
			return Set{}, false
		}
		if both.Labels == nil {
			both.Labels = map[string]string{}
		}
		both.Labels[k] = v
	}
	return both, true
}

// SharesLabel reports whether s and o ask for the same value of some label.
func (s Set) SharesLabel(o Set) bool {
	for k, v := range s.Labels {
		if w, ok := o.Labels[k]; ok && v == w {
			return true
		}
	}
	return false
}

// HasInnermost reports whether all of the sets contain the last one.
func HasInnermost(sets []Set) bool {
	last := sets[len(sets)-1]
	return !slices.ContainsFunc(sets, func(s Set) bool { return !s.Contains(last) })
}

// String describes s to people.
func (s Set) String() string {
	t := map[Traffic]string{
		Gateway: "Gateways", Inbound: "Sidecars, requests received", Outbound: "Sidecars, requests sent",
		Waypoint: "Waypoints",
	}[s.Traffic]
	if s.Host != "" {
		t += ", requests for " + s.Host
	}
	if s.Port != 0 {
		t += fmt.Sprintf(" at port %d", s.Port)
	}
	if s.Namespace != "" {
		t += ", namespace " + s.Namespace
	} else {
		t += ", all namespaces"
	}
	for _, k := range slices.Sorted(maps.Keys(s.Labels)) {
		t += fmt.Sprintf(", %s=%s", k, s.Labels[k])
	}
	return t
}
