// Package moefile reads moe.yaml, the file of `moe run` and `moe validate`: where to listen, where to send requests,
// and the plugins in between. A document of plugins alone, as Envoy's configuration holds it, is one, too.
package moefile

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/internal/bootstrap"
)

// Echo is the upstream that stands for the built-in echo server.
const Echo = "echo"

// File is what a moe.yaml says.
type File struct {
	Listen   string         // host:port
	Upstream *url.URL       // nil for the echo server
	Filter   map[string]any // the filter's document: plugins, consumers, order, timeout
	Routes   []bootstrap.Route
}

// document is the file as it is written.
type document struct {
	Listen   string `json:"listen" default:"127.0.0.1:10000"`
	Upstream string `json:"upstream" default:"echo"`
	filterPart
	GenericSecrets any     `json:"generic_secrets"` // which routes cannot have
	Routes         []route `json:"routes"`
}

type route struct {
	Name  string          `json:"name"`
	Match bootstrap.Match `json:"match"`
	filterPart
}

// filterPart is what belongs to the filter. It is any here: framework/assembly reads it.
type filterPart struct {
	Plugins        any `json:"plugins"`
	Consumers      any `json:"consumers"`
	Authentication any `json:"authentication"`
	ConsumerHeader any `json:"consumerHeader"`
	ConsumerSource any `json:"consumerSource"`
	Order          any `json:"order"`
	Timeout        any `json:"timeout"`
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
	var d document
	add("", config.Decode(raw, &d))
	if _, ok := raw.(map[string]any); !ok && raw != nil {
		return nil, errs // there is nothing to go on with
	}
	f := &File{Listen: d.Listen, Filter: d.doc()}
	if d.GenericSecrets != nil {
		f.Filter["generic_secrets"] = d.GenericSecrets
	}
	_, err = bootstrap.ParseAddress(d.Listen)
	add("listen", err)
	if d.Upstream != Echo {
		f.Upstream, err = bootstrap.ParseUpstream(d.Upstream)
		add("upstream", err)
	}
	taken := map[string]bool{"default": true}
	for i, r := range d.Routes {
		if name := routeName(r.Name, i); taken[name] {
			add(config.Index("routes", i)+".name", fmt.Errorf("%q is another route's", name))
		} else {
			taken[name] = true
		}
		add(config.Index("routes", i)+".match", r.Match.Check())
		doc := r.doc()
		f.Routes = append(f.Routes, bootstrap.Route{Name: routeName(r.Name, i), Match: r.Match, Doc: doc})
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

// doc is a document of what is given.
func (p *filterPart) doc() map[string]any {
	doc := map[string]any{}
	for key, value := range map[string]any{
		"plugins": p.Plugins, "consumers": p.Consumers, "authentication": p.Authentication,
		"consumerHeader": p.ConsumerHeader, "consumerSource": p.ConsumerSource,
		"order": p.Order, "timeout": p.Timeout,
	} {
		if value != nil {
			doc[key] = value
		}
	}
	return doc
}

// Bootstrap returns the options of the Envoy configuration. echo is the address of the echo server, if the file asks
// for it.
func (f *File) Bootstrap(admin, echo string) bootstrap.Options {
	o := bootstrap.Options{
		Listen: f.Listen, Admin: admin, Upstream: f.Upstream, Filter: f.Filter, Routes: f.Routes,
	}
	if f.Upstream == nil {
		o.Upstream, o.KeepProtocol = &url.URL{Scheme: "http", Host: echo}, true
	}
	return o
}
