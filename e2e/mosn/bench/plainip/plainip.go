// Package plainip holds plugins that do what MOSN's ip_access does with a header, without MOSN's API: the bench compares them
// with it.
package plainip

import (
	"context"
	"net/netip"

	"mosn.io/moe/framework/filter"
)

func init() {
	filter.Register[Sync]("plainip", filter.Access)
	filter.Register[Async]("plainipasync", filter.Access)
}

// Sync denies requests whose header x-real-ip is in one of the networks.
type Sync struct {
	Deny []string `json:"deny"`

	networks []netip.Prefix
}

// Provision parses the networks.
func (s *Sync) Provision(*filter.Env) error {
	for _, text := range s.Deny {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return err
		}
		s.networks = append(s.networks, p)
	}
	return nil
}

// OnRequestHeaders decides on Envoy's thread.
func (s *Sync) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	return s.decide(h)
}

func (s *Sync) decide(h filter.RequestHeaders) filter.Action {
	ip, err := netip.ParseAddr(h.Get("x-real-ip"))
	for _, n := range s.networks {
		if err == nil && n.Contains(ip) {
			return filter.Reply(403, "")
		}
	}
	return filter.Continue
}

// Async is Sync that decides on a goroutine, as a filter of MOSN's does.
type Async struct {
	Sync
}

// OnRequestHeaders starts the goroutine.
func (a *Async) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	return filter.Go(func(context.Context) filter.Action { return a.decide(h) })
}
