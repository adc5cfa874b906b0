package conformance

import (
	"fmt"
	"maps"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/envoytest"
)

// Listen describes a listener with the filter under test in it.
type Listen struct {
	Name   string // of the filter's configuration; default "moe"
	Chain  any    // its document; see [Chain]
	Before []M    // HTTP filters before it
	Parts  []Part // behind it, where several filters under test share a chain
	After  []M    // and after all of these
	Routes []M    // default: everything to cluster "up"
	VHost  M      // merged into the virtual host
	HCM    M      // merged into the connection manager
	RDS    bool   // routes come from a file of their own, and Listener.SetRoutes changes them
	Buffer int    // per_connection_buffer_limit_bytes
	TLS    M      // the DownstreamTlsContext, without its @type; nil: plain text

	Clusters []M // that the routes need beside those of every station

	keep bool // beyond the scenario
}

// Part is a further filter under test.
type Part struct {
	Name    string // in the connection manager, by which routes configure it
	Between []M    // HTTP filters in front of it
	Chain   any    // its document
}

// Listener is a listener of Envoy.
type Listener struct {
	Name, Addr string

	ip     string // its own: Envoy hands the socket of a listener that still drains to one with the same address
	bed    *Bed
	spec   Listen
	config M
	filter Filter
}

// Chain writes the document of a chain.
func Chain(plugins ...M) M {
	list := make(A, len(plugins))
	for i := range plugins {
		list[i] = plugins[i]
	}
	return M{"plugins": list}
}

// Probe writes a probe with scripts: phase, script, phase, script …
func Probe(id string, on ...string) M { return ProbeOf("probe", id, on...) }

// ProbeOf is [Probe] for another type of probe.
func ProbeOf(name, id string, on ...string) M {
	scripts := M{}
	for i := 0; i+1 < len(on); i += 2 {
		scripts[on[i]] = on[i+1]
	}
	return M{"name": name, "id": id, "config": M{"on": scripts}}
}

// Listen adds a listener for the rest of the scenario, and fails it if Envoy or the host refuses it.
func (b *Bed) Listen(l Listen) *Listener {
	b.Helper()
	ln, err := b.TryListen(l)
	if err != nil {
		b.Fatalf("the configuration should be good: %v", err)
	}
	return ln
}

// TryListen is Listen that returns the refusal. A listener that was refused is removed again.
func (b *Bed) TryListen(l Listen) (*Listener, error) {
	b.Helper()
	ln := &Listener{bed: b, spec: l}
	ln.Name, ln.ip = b.name()
	if err := ln.build(l); err != nil {
		return nil, err
	}
	b.listeners = append(b.listeners, ln)
	if err := b.push(); err != nil {
		b.remove(ln)
		if err := b.push(); err != nil {
			b.Fatalf("after a refused listener was removed: %v", err)
		}
		return nil, err
	}
	b.Poll(func() (err error) {
		ln.Addr, err = b.Envoy.ListenerAddress(ln.Name)
		return err
	})
	if !l.keep {
		b.Cleanup(func() { b.remove(ln) }) // the next push takes it away
	}
	return ln, nil
}

// Update replaces the listener's configuration, at the same address.
func (ln *Listener) Update(l Listen) error {
	ln.bed.Helper()
	before := *ln
	ln.spec = l
	if err := ln.build(l); err != nil {
		*ln = before
		return err
	}
	if err := ln.bed.push(); err != nil {
		ln.config, ln.filter, ln.spec = before.config, before.filter, before.spec
		return err
	}
	return nil
}

// Remove takes the listener away and waits until Envoy has done so.
func (ln *Listener) Remove() {
	ln.bed.Helper()
	ln.bed.remove(ln)
	if err := ln.bed.push(); err != nil {
		ln.bed.Fatal(err)
	}
}

// SetRoutes pushes other routes for a listener with RDS.
func (ln *Listener) SetRoutes(routes ...M) error {
	ln.spec.Routes = routes
	return ln.bed.Envoy.SetRoutes(ln.Name, ln.Name, ln.spec.routeConfig(ln.Name))
}

// Do sends a request and fails the scenario if there is no response.
func (ln *Listener) Do(r client.Request) *client.Response {
	ln.bed.Helper()
	resp, err := client.Do(ln.Addr, r)
	if err != nil {
		ln.bed.Fatalf("no response: %v", err)
	}
	return resp
}

// build makes Envoy's configuration of l.
func (ln *Listener) build(l Listen) error {
	b := ln.bed
	name := l.Name
	if name == "" {
		name = FilterName
	}
	var err error
	if l.Chain != nil {
		if ln.filter, err = b.Host.Filter(b, name, l.Chain); err != nil {
			return err
		}
		if r := ln.filter.Release; r != nil {
			b.releases[r] = true
		}
		if err := ln.addParts(name); err != nil {
			return err
		}
	}
	filters := l.around(ln.filter.HTTP)
	upgrades := A{M{"upgrade_type": "websocket"}, M{"upgrade_type": "CONNECT"}}
	if ln.filter.Tunnels != nil {
		for _, u := range upgrades {
			u.(M)["filters"] = l.around(ln.filter.Tunnels)
		}
	}
	hcm := M{
		"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3." +
			"HttpConnectionManager",
		"stat_prefix":            ln.Name,
		"http_filters":           filters,
		"http_protocol_options":  M{"enable_trailers": true},
		"http2_protocol_options": M{"allow_connect": true},
		"upgrade_configs":        upgrades,
		"access_log":             A{b.accessLog()},
	}
	if l.RDS {
		if err := b.Envoy.WriteRoutes(ln.Name, l.routeConfig(ln.Name)); err != nil {
			return err
		}
		hcm["rds"] = b.Envoy.RDS(ln.Name)
	} else {
		hcm["route_config"] = l.routeConfig(ln.Name)
	}
	maps.Copy(hcm, l.HCM)
	chain := M{"filters": A{M{"name": "hcm", "typed_config": hcm}}}
	if l.TLS != nil {
		context := M{"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"}
		maps.Copy(context, l.TLS)
		chain["transport_socket"] = M{"name": "tls", "typed_config": context}
	}
	ln.config = M{
		"name": ln.Name, "address": envoytest.Address(ln.ip + ":0"), "filter_chains": A{chain},
	}
	if l.Buffer > 0 {
		ln.config["per_connection_buffer_limit_bytes"] = l.Buffer
	}
	return nil
}

// addParts adds the further filters under test to that which is there.
func (ln *Listener) addParts(name string) error {
	for _, p := range ln.spec.Parts {
		f, err := ln.bed.Host.Filter(ln.bed, name, p.Chain)
		if err != nil {
			return err
		}
		if f.Release != nil {
			ln.bed.releases[f.Release] = true
		}
		for _, list := range []struct {
			to   *[]M
			from []M
		}{{&ln.filter.HTTP, f.HTTP}, {&ln.filter.Tunnels, f.Tunnels}} {
			if len(list.from) == 0 {
				continue
			}
			*list.to = append(*list.to, p.Between...)
			for _, m := range list.from {
				m = maps.Clone(m)
				m["name"] = p.Name
				*list.to = append(*list.to, m)
			}
		}
		ln.filter.Clusters = append(ln.filter.Clusters, f.Clusters...)
	}
	return nil
}

// around lists all filters, with those of the host in their place.
func (l *Listen) around(host []M) (filters A) {
	for _, fs := range [][]M{l.Before, host, l.After, {router()}} {
		for _, f := range fs {
			filters = append(filters, f)
		}
	}
	return filters
}

func (l *Listen) routeConfig(name string) M {
	routes := l.Routes
	if routes == nil {
		routes = []M{To("up", "/")}
	}
	vh := M{"name": "all", "domains": A{"*"}, "routes": routes}
	maps.Copy(vh, l.VHost)
	return M{"name": name, "virtual_hosts": A{vh}}
}

func router() M {
	return M{"name": "router", "typed_config": M{
		"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
	}}
}

func (b *Bed) accessLog() M {
	return M{"name": "file", "typed_config": M{
		"@type":      "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
		"path":       b.accessFile(),
		"log_format": M{"json_format": accessFormat},
	}}
}

// To writes a route from a path prefix to a cluster; more is merged in.
func To(cluster, prefix string, more ...M) M {
	r := M{"match": M{"prefix": prefix}, "route": M{"cluster": cluster, "timeout": "30s"}}
	for _, m := range more {
		maps.Copy(r, m)
	}
	return r
}

// PerRoute writes typed_per_filter_config with a route's document, for [To] or Listen.VHost; parts are the names of
// further filters under test.
func (b *Bed) PerRoute(doc any, parts ...string) M {
	b.Helper()
	c, err := b.Host.Route(b, FilterName, doc)
	if err != nil {
		b.Fatalf("the route's configuration should be good: %v", err)
	}
	if c == nil {
		return M{}
	}
	of := M{FilterName: c}
	for _, name := range parts {
		of[name] = c
	}
	return M{"typed_per_filter_config": of}
}

// name returns a fresh name and a fresh address of the loopback network.
func (s *station) name() (name, ip string) {
	s.names++
	return fmt.Sprintf("l%d", s.names), fmt.Sprintf("127.1.%d.%d", s.names/250, s.names%250+1)
}
