// Package moefile reads moe.yaml, the file of `moe run` and `moe validate`: where to listen, where to send requests,
// and the plugins in between. A document of plugins alone, as Envoy's configuration holds it, is one, too.
package moefile

import (
	"errors"
	"fmt"
	"strconv"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/internal/bootstrap"
	_ "mosn.io/moe/pkg/consumer" // reads the files of consumerSource
)

// Echo is the upstream that stands for the built-in echo server.
const Echo = "echo"

// File is what a moe.yaml says.
type File struct {
	Listeners  []bootstrap.Listener
	Upstreams  []bootstrap.Upstream // but for the echo server
	Default    string               // the upstream for what matches no route, or ""
	Upstream   string               // that one for people: an address or a name, or ""
	Echo       bool                 // it is the echo server
	Filter     map[string]any       // the filter's document: plugins, consumers, order, timeout
	Routes     []bootstrap.Route
	Edge       bootstrap.Edge
	Loggers    []bootstrap.AccessLogger
	Extensions []bootstrap.Extension   // bootstrap extensions
	Filters    []bootstrap.EnvoyFilter // Envoy's own, before, between and after the plugins

	whole  bool // it says where requests come from or go
	source source
}

// file is a moe.yaml as it is written.
type file struct {
	edge
	config.Raw[document.Document]
	// Routes are tried in order; what matches none gets the plugins above.
	Routes []route `json:"routes"`
	// AccessLoggers are access loggers in Go, of every listener.
	AccessLoggers []bootstrap.AccessLogger `json:"accessLoggers"`
	// Bootstrap are bootstrap extensions in Go, which live as long as Envoy.
	Bootstrap []bootstrap.Extension `json:"bootstrap"`
	// EnvoyFilters are HTTP filters of Envoy's own, before the plugins, between them or after them.
	EnvoyFilters []bootstrap.EnvoyFilter `json:"envoyFilters"`
}

// route changes the chain for some requests.
type route struct {
	// Name of the route in Envoy's configuration; route-0, route-1 and so on by default.
	Name string `json:"name"`
	// Match says which requests; all that is given must hold. At most one of path, prefix and regex.
	Match bootstrap.Match `json:"match"`
	// Listeners are the names of those that have the route; all by default.
	Listeners []string `json:"listeners" validate:"omitempty,min=1"`
	bootstrap.Action
	// EnvoyFilters are configurations of the route's own for some of the file's envoyFilters.
	EnvoyFilters []bootstrap.RouteEnvoyFilter `json:"envoyFilters"`
	config.Raw[document.Route]
}

// read makes a File of the data of a moe.yaml, and checks it. It returns nil where nothing can be made of it.
func (l Loader) read(raw any, add func(path string, err error)) *File {
	if list, ok := raw.([]any); ok {
		raw = map[string]any{"plugins": list}
	}
	wrong, report := false, add
	add = func(path string, err error) {
		wrong = wrong || err != nil
		report(path, err)
	}
	var d file
	add("", config.Decode(raw, &d))
	if _, ok := raw.(map[string]any); !ok && raw != nil {
		return nil
	}
	f := &File{Filter: object(d.Raw), Loggers: d.AccessLoggers, Extensions: d.Bootstrap, Filters: d.EnvoyFilters}
	if f.Filter[document.StagesField] != nil {
		add(document.StagesField, errors.New("is made of envoyFilters; give one of these a stage"))
	}
	chain := f.Filter
	f.connect(&d, add)
	f.checkHTTP(raw, chain, add)
	taken := map[string]bool{"default": true}
	for i, r := range d.Routes {
		if name := routeName(r.Name, i); taken[name] {
			add(config.Index("routes", i)+".name", fmt.Errorf("%q is another route's", name))
		} else {
			taken[name] = true
		}
		add(config.Index("routes", i)+".match", r.Match.Check())
		f.Routes = append(f.Routes, bootstrap.Route{
			Name: routeName(r.Name, i), Match: r.Match, Listeners: r.Listeners, Action: r.Action, Doc: object(r.Raw),
			EnvoyFilters: r.EnvoyFilters,
		})
	}
	if !wrong { // names that are wrong would be reported again
		o := f.Bootstrap("", "127.0.0.1:1")
		add("", o.Check())
	}
	if l.Files || l.Check == ProvisionPlugins {
		f.checkFiles(l.WithoutSecrets, add)
	}
	f.check(l, add)
	return f
}

// routeName is a route's name in Envoy's configuration, by which `moe extproc` knows it.
func routeName(given string, i int) string {
	if given != "" {
		return given
	}
	return "route-" + strconv.Itoa(i)
}

// object is a document, which may be empty, of what is written of it.
func object(raw map[string]any) map[string]any {
	if raw == nil {
		return map[string]any{}
	}
	return raw
}
