package ui

import (
	"net/http"
	"slices"
	"strconv"

	"mosn.io/moe/framework/debugview"
	"mosn.io/moe/internal/timeline"
)

// onLive is how many requests of a kind the first page shows.
const onLive = 5

// liveView is the first page.
type liveView struct {
	All    Row // all routes together
	Routes []routeView
	Recent []kindView
}

// routeView is a route with its chain.
type routeView struct {
	Name    string
	Match   string // which requests it is for; "" where the configuration does not have it
	Row     Row    // zero while no request has come
	Plugins []pluginView
}

type pluginView struct {
	ID, Stage string
	Off       bool // in the chain, but disabled
	Extra     bool // not in the route's chain as it is now: a consumer's, or one of before
	Row       Row
}

type kindView struct {
	Kind     string
	Requests []Request
}

func (s *Server) live(w http.ResponseWriter, _ *http.Request) {
	v := liveView{Routes: s.routes()}
	for _, r := range v.Routes {
		v.All.Requests += r.Row.Requests
		v.All.Errors += r.Row.Errors
		v.All.Refused += r.Row.Refused
		v.All.PerSecond += r.Row.PerSecond
	}
	for _, kind := range Kinds[1:] {
		list := s.store.Latest(kind)
		v.Recent = append(v.Recent, kindView{kind, list[:min(len(list), onLive)]})
	}
	s.show(w, http.StatusOK, "live", page{Title: "Live", At: "live", Data: v})
}

// routes returns the routes of the configuration, each with its chain, and others that requests have had.
func (s *Server) routes() (all []routeView) {
	place := map[string]int{}
	if m := s.loaded(); m != nil {
		for _, c := range append(slices.Clone(m.chains[1:]), m.chains[0]) { // in the order in which Envoy tries them
			place[c.Name] = len(all)
			r := routeView{Name: c.Name, Match: c.Match}
			for _, p := range c.Plugins {
				r.Plugins = append(r.Plugins, pluginView{ID: p.ID, Stage: p.Stage, Off: p.Off})
			}
			all = append(all, r)
		}
	}
	configured := len(all) > 0
	for _, row := range s.store.Rows() {
		i, ok := place[row.Route]
		if !ok {
			i = len(all)
			place[row.Route] = i
			all = append(all, routeView{Name: row.Route})
		}
		r := &all[i]
		if row.Plugin == "" {
			r.Row = row
			continue
		}
		at := slices.IndexFunc(r.Plugins, func(p pluginView) bool { return p.ID == row.Plugin })
		if at < 0 {
			at = len(r.Plugins)
			r.Plugins = append(r.Plugins, pluginView{ID: row.Plugin, Extra: configured})
		}
		r.Plugins[at].Row = row
	}
	return all
}

// requestsView is a list of requests.
type requestsView struct {
	Kind, Route string
	Kinds       []string
	timeline.Filter
	Requests []Request
}

func (s *Server) requests(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	v := requestsView{
		Kind: q.Get("kind"), Route: q.Get("route"), Kinds: Kinds,
		Filter: timeline.Filter{Path: q.Get("path"), Plugin: q.Get("plugin")},
	}
	if !slices.Contains(Kinds, v.Kind) {
		v.Kind = All
	}
	for _, q := range s.store.Latest(v.Kind) {
		if v.Takes(q.Record) && (v.Route == "" || q.Route == v.Route) {
			v.Requests = append(v.Requests, q)
		}
	}
	s.show(w, http.StatusOK, "requests", page{Title: "Requests", At: "requests", Data: v})
}

// requestView is one request.
type requestView struct {
	Request
	Lines []lineView
}

// lineView is a line of a timeline, with where its bar is, in hundredths.
type lineView struct {
	timeline.Line
	From, Width float64
}

func (s *Server) request(w http.ResponseWriter, r *http.Request) {
	number, _ := strconv.ParseUint(r.PathValue("number"), 10, 64)
	q, ok := s.store.Find(number)
	if !ok {
		s.refuse(w, http.StatusNotFound, "This request is not remembered any more; the latest are.")
		return
	}
	s.show(w, http.StatusOK, "request", page{
		Title: clean(q.Method + " " + q.Path), At: "requests", Data: requestView{q, lines(q.Record)},
	})
}

func lines(r *debugview.Record) (all []lineView) {
	const least = 0.5 // hundredths, so that it can be seen
	for _, l := range timeline.Lines(r) {
		v := lineView{Line: l}
		if l.Step != nil {
			from, to := timeline.Span(r, l.Step)
			v.From = min(100*from, 100-least)
			v.Width = max(100*(to-from), least)
		}
		all = append(all, v)
	}
	return all
}
