// Package bootstrap writes the Envoy configuration that puts MoE's plugins between listeners and upstreams. Its structs
// with json tags are what a moe.yaml may say of them.
package bootstrap

import (
	"fmt"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// Name is how the configuration calls its filter and the dynamic module, and the listener and the cluster of a moe.yaml
// that does not name its own.
const Name = "moe"

// Options are what the configuration depends on.
type Options struct {
	Listeners []Listener
	Admin     string         // as the address of a listener, for Envoy's admin listener
	Upstreams []Upstream     // clusters
	Default   string         // the upstream for what matches no route; "" leaves that to Envoy's 404
	Edge      Edge           // what stands in front, and limits; see DefaultEdge
	Filter    map[string]any // the document of the filter (plugins, consumers, order, …); nil leaves the filter out
	Routes    []Route        // tried in order; what matches none gets the filter's own plugins
	// EnvoyFilters are Envoy's own filters before and after the plugins.
	EnvoyFilters []EnvoyFilter
	ExtProc      *ExtProc // the plugins run in that server, which has their configuration
	Golang       *Golang  // the plugins run in Envoy's Golang filter

	Extensions    []Extension    // bootstrap extensions
	AccessLoggers []AccessLogger // of every listener
	// OtherLoggers gives the access loggers another name, which changes nothing else: Envoy sets them up again if it had
	// them without.
	OtherLoggers bool
	// OtherConnections does the same to listener, network and UDP filters.
	OtherConnections bool

	// Dir is where Envoy finds the files of [Resources.Files]; "" has the bootstrap hold everything. Only if there is a
	// directory does Envoy read certificates again when they change.
	Dir string
	// Static has the bootstrap hold everything but the certificates.
	Static bool
}

// Route has a configuration of its own for the requests that match.
type Route struct {
	Name      string // in Envoy's configuration; may be empty
	Match     Match
	Listeners []string // names of the listeners that have the route; none is all
	Action    Action
	Doc       map[string]any // merged over the filter's; nil changes nothing
	// EnvoyFilters is what the route has of its own for some of Options.EnvoyFilters.
	EnvoyFilters []RouteEnvoyFilter
}

// New returns the bootstrap: with the resources in it, or with [Options.Dir] one that finds them there. An error names the
// option at fault.
func New(o Options) (*bootstrapv3.Bootstrap, error) {
	b, _, err := Build(o)
	return b, err
}

// Build returns the bootstrap as New does, and the resources by themselves.
func Build(o Options) (*bootstrapv3.Bootstrap, *Resources, error) {
	admin, err := ParseAddress(o.Admin)
	if err != nil {
		return nil, nil, fmt.Errorf("admin: %w", err)
	}
	b, err := newBuilder(o)
	if err != nil {
		return nil, nil, err
	}
	s := &bootstrapv3.Bootstrap{
		Node: &corev3.Node{Id: Name, Cluster: Name},
		// Whoever looks why Envoy is full must get in.
		Admin:           &bootstrapv3.Admin{Address: admin, IgnoreGlobalConnLimit: true},
		OverloadManager: o.Edge.Limits.overloadManager(),
		LayeredRuntime:  o.runtime(),
	}
	b.serve(s)
	if s.BootstrapExtensions, err = o.bootstrapExtensions(); err != nil {
		return nil, nil, err
	}
	return s, b.r, nil
}

func newBuilder(o Options) (*builder, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	b := &builder{o: &o, r: &Resources{static: o.Static}}
	for i := range o.Listeners {
		if err := b.listener(&o.Listeners[i]); err != nil {
			return nil, err
		}
	}
	for i := range o.Upstreams {
		b.r.Clusters = append(b.r.Clusters, b.cluster(&o.Upstreams[i]))
	}
	if o.ExtProc != nil {
		server, err := o.ExtProc.cluster()
		if err != nil {
			return nil, fmt.Errorf("server: %w", err)
		}
		b.r.Clusters = append(b.r.Clusters, server)
	}
	return b, nil
}
