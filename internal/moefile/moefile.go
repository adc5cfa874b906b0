// Package moefile reads moe.yaml, the file of `moe run` and `moe validate`: where to listen, where to send requests,
// and the plugins in between. A document of plugins alone, as Envoy's configuration holds it, is one, too.
package moefile

import (
	"errors"
	"fmt"
	"io"
	"os"
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
	Listeners []bootstrap.Listener
	Upstreams []bootstrap.Upstream // but for the echo server
	Default   string               // the upstream for what matches no route, or ""
	Upstream  string               // that one for people: an address or a name, or ""
	Echo      bool                 // it is the echo server
	Filter    map[string]any       // the filter's document: plugins, consumers, order, timeout
	Routes    []bootstrap.Route
	Edge      bootstrap.Edge
}

// file is a moe.yaml as it is written.
type file struct {
	edge
	config.Raw[document.Document]
	// Routes are tried in order; what matches none gets the plugins above.
	Routes []route `json:"routes"`
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
	config.Raw[document.Route]
}

// Load reads the file at path; "-" is the standard input. See Parse.
func Load(path string, c Check, h Host) (*File, error) {
	var text []byte
	var err error
	if path == "-" {
		text, err = io.ReadAll(io.LimitReader(os.Stdin, config.MaxSize+1))
	} else {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, err
	}
	return Parse(text, c, h)
}

// Parse reads a file's text and checks it, as c says, for the host h. The error is a config.Errors with all that is
// wrong.
func Parse(text []byte, c Check, h Host) (*File, error) {
	raw, err := config.Parse(text)
	if err != nil {
		return nil, err
	}
	if list, ok := raw.([]any); ok {
		raw = map[string]any{"plugins": list}
	}
	var errs config.Errors
	add := func(path string, err error) {
		var all config.Errors
		if errors.As(err, &all) {
			errs = append(errs, all.In(path)...)
		} else if err != nil {
			errs = append(errs, config.Error{Path: path, Msg: err.Error()})
		}
	}
	var d file
	add("", config.Decode(raw, &d))
	if _, ok := raw.(map[string]any); !ok && raw != nil {
		return nil, errs // there is nothing to go on with
	}
	f := &File{Filter: object(d.Raw)}
	f.connect(&d, add)
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
		})
	}
	if len(errs) == 0 { // names that are wrong would be reported again
		o := f.Bootstrap("", "127.0.0.1:1")
		add("", o.Check())
	}
	f.check(c, h, add)
	if err := errs.Err(); err != nil {
		return nil, err
	}
	return f, nil
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
