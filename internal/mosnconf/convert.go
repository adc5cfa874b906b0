package mosnconf

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"mosn.io/moe/framework/config"
)

type (
	obj  = map[string]any
	list = []any
)

// Result is what became of a mosn_config.json.
type Result struct {
	Bootstrap map[string]any // of Envoy, as its JSON has it
	Notes     []string       // of what does not matter for Envoy, each with its place
}

// Convert reads a mosn_config.json, and by read the folders that it names, which are refused where read is nil. The error has
// everything that cannot be converted, a line each, with its place.
func Convert(text []byte, read ReadFolder) (*Result, error) {
	raw, err := config.Parse(text)
	if err != nil {
		return nil, err
	}
	var f file
	if err := config.Decode(fold(raw, reflect.TypeOf(f)), &f); err != nil {
		return nil, err
	}
	c := &converter{read: read, clusters: map[string]bool{}, routers: map[string]routerAt{}, speaks: map[string]spoken{}}
	c.inspect("", reflect.ValueOf(f))
	bootstrap := c.file(&f)
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	slices.Sort(c.notes)
	return &Result{bootstrap, slices.Compact(c.notes)}, nil
}

type converter struct {
	read     ReadFolder
	errs     []error
	notes    []string
	clusters map[string]bool
	routers  map[string]routerAt
	manager  *tlsConfig // of all clusters
	speaks   map[string]spoken
}

// spoken is the protocol to a cluster, and where it was found.
type spoken struct{ protocol, path string }

type routerAt struct {
	router *router
	path   string
	hosts  []string // where the virtual hosts are
}

func (c *converter) fail(path, format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("%s: "+format, append([]any{path}, args...)...))
}

func (c *converter) note(path, why string) { c.notes = append(c.notes, path+": "+why) }

// inspect finds fields that are set and have no counterpart.
func (c *converter) inspect(path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			c.inspect(path, v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			c.inspect(path+"["+strconv.Itoa(i)+"]", v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			sf := v.Type().Field(i)
			at := path
			if !sf.Anonymous {
				name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
				at = strings.TrimPrefix(path+"."+name, ".")
			}
			if !empty(v.Field(i)) {
				if why := sf.Tag.Get("no"); why != "" {
					c.fail(at, "has no counterpart in Envoy: %s", why)
					continue
				}
				if why := sf.Tag.Get("note"); why != "" {
					c.note(at, why)
					continue
				}
			}
			c.inspect(at, v.Field(i))
		}
	}
}

// empty reports whether v says nothing: MOSN writes empty objects where nothing is set.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		return v.IsNil() || empty(v.Elem())
	case reflect.Map:
		for _, k := range v.MapKeys() {
			if !empty(v.MapIndex(k)) {
				return false
			}
		}
		return true
	case reflect.Slice:
		return v.Len() == 0
	case reflect.String:
		return v.String() == "" || v.String() == "0s"
	}
	return v.IsZero()
}

// file is the bootstrap.
func (c *converter) file(f *file) obj {
	c.manager = f.ClusterManager.TLS
	found, places := include(c, "cluster_manager.clusters_configs", f.ClusterManager.Path, "cluster_manager.clusters",
		f.ClusterManager.Clusters)
	for i, cl := range found {
		if c.clusters[cl.Name] {
			c.fail(places[i]+".name", "duplicate cluster %q", cl.Name)
		}
		c.clusters[cl.Name] = true
	}
	var listeners list
	for i := range f.Servers {
		s, path := &f.Servers[i], index("servers", i)
		for j := range s.Routers {
			at := index(path+".routers", j)
			if _, twice := c.routers[s.Routers[j].Name]; twice {
				c.fail(at+".router_config_name", "duplicate router %q", s.Routers[j].Name)
			}
			c.router(at, &s.Routers[j])
		}
	}
	for i := range f.Servers {
		for j := range f.Servers[i].Listeners {
			path := index(index("servers", i)+".listeners", j)
			if l := c.listener(path, j, &f.Servers[i].Listeners[j]); l != nil {
				listeners = append(listeners, l)
			}
		}
	}
	if len(listeners) == 0 {
		c.fail("servers", "has no listener")
	}
	var clusters list
	for i := range found {
		clusters = append(clusters, c.cluster(places[i], &found[i]))
	}
	b := obj{"static_resources": obj{"listeners": listeners, "clusters": clusters}}
	if f.Admin != nil {
		a := f.Admin.Address.SocketAddress
		b["admin"] = obj{"address": obj{"socket_address": obj{"address": a.Address, "port_value": a.PortValue}}}
	}
	return b
}

// router keeps a router, with the virtual hosts that are in files.
func (c *converter) router(at string, r *router) {
	var places []string
	r.Hosts, places = include(c, at+".router_configs", r.Path, at+".virtual_hosts", r.Hosts)
	c.routers[r.Name] = routerAt{r, at, places}
}

func index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// any packs a message.
func message(name string, fields obj) obj {
	out := obj{"@type": "type.googleapis.com/" + name}
	for k, v := range fields {
		out[k] = v
	}
	return out
}

// known reports a cluster that does not exist.
func (c *converter) known(path, name string) {
	if name == "" || c.clusters[name] {
		return
	}
	names := make([]string, 0, len(c.clusters))
	for n := range c.clusters {
		names = append(names, n)
	}
	slices.Sort(names)
	c.fail(path, "no cluster is called %q%s", name, config.Suggest(name, names))
}

// speak notes by which protocol a route speaks to a cluster.
func (c *converter) speak(path, cluster, protocol string) {
	before, known := c.speaks[cluster]
	if known && before.protocol != protocol {
		c.fail(path, "reaches cluster %q by %s, and %s by %s; a cluster of Envoy's has one protocol, so make two", cluster,
			protocol, before.path, before.protocol)
		return
	}
	c.speaks[cluster] = spoken{protocol, path}
}

// set sets a field that is not zero.
func set[T comparable](m obj, key string, v T) {
	var zero T
	if v != zero {
		m[key] = v
	}
}
