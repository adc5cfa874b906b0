package extproc

import (
	"fmt"
	"maps"
	"slices"

	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/host/processing"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// ProcessingMode returns the mode that has Envoy send what the plugins of the loaded configuration implement, its
// routes' and consumers' included, and nothing else. It is the zero mode, which sends headers, without a configuration.
//
// What a plugin may want besides cannot be known: one that reads the request's headers in a phase of the response needs
// them sent, and one that returns Pipe from the phase of headers, without any phase for bodies, needs the body sent.
func (s *Server) ProcessingMode() *modev3.ProcessingMode {
	g := s.acquire()
	if g == nil {
		return &modev3.ProcessingMode{}
	}
	defer g.release()
	var sends phase.Messages
	add := func(r *assembly.Route) {
		for _, c := range g.filter.Chains(r) {
			sends |= c.Sends()
		}
	}
	add(nil)
	for _, r := range g.routes {
		add(r)
	}
	return processing.Mode(sends)
}

// Fits reports, as config.Errors, which plugins of the loaded configuration may wait for a body that Envoy does not
// send whole in the body modes of m. Such a stream would be answered with 500. Where Envoy lets modes be overridden
// (Options.ModeOverride), all plugins have what they need, unless a mode is FULL_DUPLEX_STREAMED, which excludes that.
func (s *Server) Fits(m *modev3.ProcessingMode) error {
	g := s.acquire()
	if g == nil {
		return nil
	}
	defer g.release()
	return g.fits(m)
}

// fits is Fits for one configuration, and for all of its routes.
func (g *generation) fits(m *modev3.ProcessingMode) error {
	errs := g.misfits(nil, m, "")
	for _, name := range slices.Sorted(maps.Keys(g.routes)) {
		for _, e := range g.misfits(g.routes[name], m, config.Key("routes", name)) {
			inherited := func(o config.Error) bool { return o.Path == "" && o.Plugin == e.Plugin && o.Msg == e.Msg }
			if !slices.ContainsFunc(errs, inherited) {
				errs = append(errs, e)
			}
		}
	}
	return errs.Err()
}

func (g *generation) misfits(r *assembly.Route, m *modev3.ProcessingMode, path string) (errs config.Errors) {
	modes := [2]modev3.ProcessingMode_BodySendMode{m.GetRequestBodyMode(), m.GetResponseBodyMode()}
	const duplex, streamed = modev3.ProcessingMode_FULL_DUPLEX_STREAMED, modev3.ProcessingMode_STREAMED
	if g.srv.o.ModeOverride && !slices.Contains(modes[:], duplex) {
		return nil
	}
	for dir, mode := range modes {
		if mode != modev3.ProcessingMode_NONE && (mode != streamed || g.srv.o.EarlyBodies) {
			continue
		}
		var waiting []string
		for _, c := range g.filter.Chains(r) {
			waiting = append(waiting, c.NeedsWholeBody(core.Direction(dir))...)
		}
		slices.Sort(waiting)
		for _, plugin := range slices.Compact(waiting) {
			msg := fmt.Sprintf("may wait for the whole body of the %s, which %s_body_mode %v does not give: "+
				"set FULL_DUPLEX_STREAMED or BUFFERED", names[dir], names[dir], mode)
			errs = append(errs, config.Error{Path: path, Plugin: plugin, Msg: msg})
		}
	}
	return errs
}
