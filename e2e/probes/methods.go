package probes

import (
	"maps"
	"slices"
	"time"

	"mosn.io/moe/framework/filter"
)

// methods calls each method of [filter.Stream], and what it returns as far as that reaches the host. A test keeps the
// table complete.
var methods = map[string]func(s filter.Stream){
	"Attr": func(s filter.Stream) {
		for _, name := range attributes {
			s.Attr(filter.Attr(name))
		}
	},
	"ClearRouteCache": func(s filter.Stream) { s.ClearRouteCache() },
	"Consumer":        func(s filter.Stream) { s.Consumer() },
	"Context":         func(s filter.Stream) { s.Context().Err() },
	"FilterState":     func(s filter.Stream) { s.FilterState("moe.test:method") },
	"Log":             func(s filter.Stream) { s.Log().Debug("a method of many") },
	"Metadata":        func(s filter.Stream) { s.Metadata("moe.test", "method") },
	"RemoteAddr":      func(s filter.Stream) { s.RemoteAddr() },
	"RequestHeaders":  func(s filter.Stream) { read(s.RequestHeaders().Headers) },
	"RequestTrailers": func(s filter.Stream) { read(s.RequestTrailers()) },
	"ResponseHeaders": func(s filter.Stream) { read(s.ResponseHeaders().Headers) },
	"ResponseTrailers": func(s filter.Stream) {
		read(s.ResponseTrailers())
	},
	"Secret":          func(s filter.Stream) { s.Secret("method") },
	"SetConsumer":     func(s filter.Stream) { s.SetConsumer(&filter.Consumer{Name: "method"}) },
	"SetFilterState":  func(s filter.Stream) { s.SetFilterState("moe.test:method", "set") },
	"SetMetadata":     func(s filter.Stream) { s.SetMetadata("moe.test", "method", "set") },
	"SetUpstreamHost": func(s filter.Stream) { s.SetUpstreamHost("127.0.0.1:1", false) }, // of no cluster: ignored
}

// attributes are one of each kind that Envoy has: of the request, of the connection, of the upstream, and of the route,
// which Envoy may have to look up again, in tables that each of its threads has for itself.
var attributes = []string{
	"request.path", "request.host", "request.id", "request.time", "request.headers", "request.size", "request.duration",
	"response.code", "response.code_details", "response.flags", "response.headers", "response.trailers", "response.size",
	"source.address", "destination.port", "connection.id", "connection.mtls", "connection.tls_version",
	"connection.subject_peer_certificate", "upstream.address", "upstream.locality", "upstream.request_attempt_count",
	"xds.node", "xds.cluster_name", "xds.cluster_metadata", "xds.listener_direction", "xds.listener_metadata",
	"xds.route_name", "xds.route_metadata", "xds.virtual_host_name", "xds.virtual_host_metadata",
	"xds.upstream_host_metadata", "xds.filter_chain_name", "health_check",
}

func read(h filter.Headers) {
	h.Get("x-id")
	h.HTTP()
}

// Methods returns the names of the methods of [filter.Stream].
func Methods() []string { return slices.Sorted(maps.Keys(methods)) }

// aWhile is how long a phase waits for calls of other goroutines. Some must wait for the phase to end.
const aWhile = 10 * time.Millisecond

// everyMethod calls the method first, in the phase itself or on another goroutine, and then every method on goroutines
// of their own while the phase stands still.
func everyMethod(r *run, first, where string) {
	s := r.s
	if where == "here" {
		methods[first](s)
	} else {
		meanwhile(func() { methods[first](s) })
	}
	all := make([]func(), 0, len(methods))
	for _, call := range methods {
		all = append(all, func() { call(s) })
	}
	meanwhile(all...)
}

// meanwhile runs functions on goroutines of their own, and waits for a while.
func meanwhile(all ...func()) {
	done := make(chan struct{}, len(all))
	for _, f := range all {
		Live.Goroutines.Add(1)
		go func() {
			defer func() { done <- struct{}{}; Live.Goroutines.Add(-1) }()
			f()
		}()
	}
	late := time.After(aWhile)
	for range all {
		select {
		case <-done:
		case <-late:
			return
		}
	}
}
