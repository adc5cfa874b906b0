package moefile

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/internal/bootstrap"
)

// defaultListen is where a file listens that does not say.
const defaultListen = "127.0.0.1:10000"

// edge is what a file says about where requests come from and where they go.
type edge struct {
	// Listen is the IP address and port to listen on; :PORT is all addresses, port 0 any free one.
	Listen string `json:"listen" absent:"127.0.0.1:10000"`
	// Listeners are several of them, and those with TLS, in place of listen.
	Listeners []bootstrap.Listener `json:"listeners" validate:"omitempty,min=1"`
	// Upstream is where requests go: an address (HOST:PORT, http://HOST[:PORT], h2c://… for HTTP/2 without TLS, https://…),
	// a name of upstreams, or echo. The only one of upstreams by default.
	Upstream string `json:"upstream" absent:"echo"`
	// Upstreams are places that routes, weights and plugins name.
	Upstreams []bootstrap.Upstream `json:"upstreams" validate:"omitempty,min=1"`
	bootstrap.Edge
}

var nameRE = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)

// isAddress reports whether an upstream is an address and no name.
func isAddress(text string) bool { return strings.Contains(text, ":") }

// connect fills in f's listeners and upstreams, and those of its routes.
func (f *File) connect(d *file, add func(path string, err error)) {
	f.Edge = d.Edge
	f.whole = d.Listen != "" || d.Upstream != "" || d.Listeners != nil || d.Upstreams != nil
	add("", d.Edge.Check())
	f.Listeners = d.Listeners
	switch {
	case d.Listeners == nil:
		if d.Listen == "" {
			d.Listen = defaultListen
		}
		if _, err := bootstrap.ParseAddress(d.Listen); err != nil {
			add("listen", err)
			d.Listen = defaultListen
		}
		f.Listeners = []bootstrap.Listener{{Name: bootstrap.Name, Address: d.Listen}}
	case d.Listen != "":
		add("listeners", fmt.Errorf("listen and listeners are mutually exclusive"))
	}
	f.addUpstreams(d, add)
	names := f.upstreamNames()
	known := func(path, name string) string {
		if name == "" || isAddress(name) || slices.Contains(names, name) {
			return f.named(path, name, name, add)
		}
		add(path, fmt.Errorf("%s; give a name of upstreams, or an address such as HOST:PORT",
			config.Unknown("upstream", name, names)))
		return ""
	}
	for i := range f.Listeners {
		if t := f.Listeners[i].TCP; t != nil {
			t.Upstream = known(config.Index("listeners", i)+".tcp.upstream", t.Upstream)
		}
		if u := f.Listeners[i].UDP; u != nil {
			u.Upstream = known(config.Index("listeners", i)+".udp.upstream", u.Upstream)
		}
	}
	for i := range d.Routes {
		r := &d.Routes[i]
		at := config.Index("routes", i)
		r.Action.Upstream = known(at+".upstream", r.Action.Upstream)
		for j := range r.WeightedUpstreams {
			w := &r.WeightedUpstreams[j]
			w.Upstream = known(config.Index(at+".weightedUpstreams", j)+".upstream", w.Upstream)
		}
	}
	f.choose(d, add)
	if !f.takesHTTP() {
		f.Filter = nil
	}
}

// ofHTTP are fields that are for HTTP alone, beside those of the chain.
var ofHTTP = []string{"accessLoggers", "envoyFilters", "http", "routes", "trustedHops", "trustedProxies"}

// checkHTTP refuses the fields of a file, raw, that nothing would heed because no listener takes HTTP. chain are those of
// the chain.
func (f *File) checkHTTP(raw any, chain map[string]any, add func(path string, err error)) {
	if f.takesHTTP() {
		return
	}
	given, _ := raw.(map[string]any)
	for _, field := range slices.Concat(slices.Sorted(maps.Keys(chain)), ofHTTP) {
		if given[field] != nil {
			add(field, errors.New("no listener takes HTTP: give the file one without tcp and udp, or leave this out"))
		}
	}
}

// takesHTTP reports whether there is a listener that plugins and routes are for.
func (f *File) takesHTTP() bool {
	return slices.ContainsFunc(f.Listeners, func(l bootstrap.Listener) bool { return l.TakesHTTP() })
}

// addUpstreams takes those that the file names. Those that could not be used are left out, as it has been said why.
func (f *File) addUpstreams(d *file, add func(path string, err error)) {
	for i := range d.Upstreams {
		u := d.Upstreams[i]
		at := config.Index("upstreams", i)
		if u.Name == Echo || u.Name != "" && !nameRE.MatchString(u.Name) {
			add(at+".name", fmt.Errorf("expected letters, digits, dots, hyphens and underscores, and not the word %s", Echo))
		}
		if u.URL != "" {
			if to, err := bootstrap.ParseUpstream(u.URL); err != nil {
				add(at+".url", err)
				u.URL, u.Endpoints = "", []string{"127.0.0.1:1"} // so that nothing else is said
			} else if len(u.Endpoints) == 0 {
				u.SetURL(to)
			}
		}
		f.Upstreams = append(f.Upstreams, u)
	}
}

// named returns the name of the upstream that text names: text itself, or for an address that of an upstream for it,
// which is added.
func (f *File) named(path, text, name string, add func(path string, err error)) string {
	if !isAddress(text) {
		return text
	}
	to, err := bootstrap.ParseUpstream(text)
	if err != nil {
		add(path, err)
		return ""
	}
	if !slices.Contains(f.upstreamNames(), name) {
		f.Upstreams = append(f.Upstreams, bootstrap.UpstreamOf(name, to))
	}
	return name
}

// choose finds the upstream for what matches no route.
func (f *File) choose(d *file, add func(path string, err error)) {
	f.Upstream = d.Upstream
	if d.Upstream == "" && !f.takesHTTP() {
		return
	}
	switch given := d.Upstream; {
	case given == Echo || given == "" && len(d.Upstreams) == 0:
		f.Echo, f.Default = true, bootstrap.Name
	case given == "" && len(d.Upstreams) == 1:
		f.Default = d.Upstreams[0].Name
		f.Upstream = f.Default
	case given == "":
		if !slices.ContainsFunc(d.Routes, catchesAll) {
			add("upstream", fmt.Errorf("is required where there are several upstreams: name the one for requests that match no "+
				"route, or end routes with one that matches everything"))
		}
	case isAddress(given):
		f.Default = f.named("upstream", given, bootstrap.Name, add)
	case slices.Contains(f.upstreamNames(), given):
		f.Default = given
	default:
		add("upstream", fmt.Errorf("%s; give a name of upstreams, an address such as HOST:PORT, or %s",
			config.Unknown("upstream", given, f.upstreamNames()), Echo))
	}
	if f.Default == bootstrap.Name && slices.ContainsFunc(d.Upstreams, func(u bootstrap.Upstream) bool {
		return u.Name == bootstrap.Name
	}) && (f.Echo || isAddress(d.Upstream)) {
		add("upstreams", fmt.Errorf("the name %q is that of upstream, if it is an address; choose another one", bootstrap.Name))
	}
}

// catchesAll reports whether a route is for all requests that come to it, at all listeners.
func catchesAll(r route) bool {
	m := r.Match
	return len(r.Listeners) == 0 && m.Path == "" && m.Regex == "" && (m.Prefix == "" || m.Prefix == "/") && m.Host == "" &&
		len(m.Methods) == 0 && len(m.Headers) == 0
}

func (f *File) upstreamNames() (names []string) {
	for i := range f.Upstreams {
		names = append(names, f.Upstreams[i].Name)
	}
	return names
}

// clusters returns the names of the clusters that Envoy will have, or nil for a document of plugins alone: it may be for
// an Envoy that has others.
func (f *File) clusters() []string {
	switch {
	case !f.whole:
		return nil
	case f.Echo:
		return append(f.upstreamNames(), bootstrap.Name)
	}
	return f.upstreamNames()
}

// Bootstrap returns the options of the Envoy configuration. echo is the address of the echo server, if the file asks
// for it.
func (f *File) Bootstrap(admin, echo string) bootstrap.Options {
	o := bootstrap.Options{
		Listeners: f.Listeners, Admin: admin, Upstreams: f.Upstreams, Default: f.Default,
		Filter: f.Filter, Routes: f.Routes, Edge: f.Edge, AccessLoggers: f.Loggers,
		Extensions:   f.Extensions,
		EnvoyFilters: f.Filters,
	}
	if f.Echo {
		up := bootstrap.UpstreamOf(bootstrap.Name, &url.URL{Scheme: "http", Host: echo})
		up.Protocol = "downstream" // it understands both
		o.Upstreams = append(slices.Clip(o.Upstreams), up)
	}
	return o
}
