package bootstrap

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/internal/protocheck"
)

// EnvoyFilter is an HTTP filter of Envoy's own, before the plugins, between them or after them.
type EnvoyFilter struct {
	// Name is Envoy's for the filter, such as envoy.filters.http.local_ratelimit.
	Name string `json:"name" validate:"required"`
	// ID tells entries of one filter apart; it is the name by default.
	ID string `json:"id"`
	Placement
	// Config is the filter's configuration, with Envoy's fields; "@type" names its message where the name does not.
	Config map[string]any `json:"config"`
}

// Placement is where a filter of Envoy's own stands.
type Placement struct {
	// Position says whether requests come to the filter before the plugins or after them; responses, the other way round.
	// Filters of one place stand as listed.
	Position string `json:"position" default:"before" enum:"before,after"`
	// Stage puts the filter before or after the plugins of one stage, in place of all plugins. The plugins must run in the
	// order of stages.
	Stage string `json:"stage" enum:"access,authn,authz,traffic,transform,observe"`
}

// behind is the position after the plugins.
const behind = "after"

// RouteEnvoyFilter is what a route has of its own for one of Envoy's filters.
type RouteEnvoyFilter struct {
	// Name or ID of an entry of the file's envoyFilters.
	Name string `json:"name"`
	// ID of that entry.
	ID string `json:"id"`
	// Config is the filter's configuration for a route, with Envoy's fields.
	Config map[string]any `json:"config"`
	// Disabled leaves the filter out for the route.
	Disabled bool `json:"disabled"`
}

func (f *EnvoyFilter) id() string { return f.EntryID() }

// EntryID returns f's ID, or its name if it has none.
func (f *EnvoyFilter) EntryID() string { return cmp.Or(f.ID, f.Name) }

func (f *RouteEnvoyFilter) id() string { return f.EntryID() }

// EntryID returns f's ID, or its name if it has none: that of an entry of envoyFilters.
func (f *RouteEnvoyFilter) EntryID() string { return cmp.Or(f.ID, f.Name) }

// filterNames begins the names of Envoy's HTTP filters, and filterPackages the packages of their messages.
const (
	filterNames    = "envoy.filters.http."
	filterPackages = "envoy.extensions.filters.http."
)

// messages are those that do not follow from the filter's name.
var messages = map[string]struct{ own, route string }{
	"cors":            {route: "CorsPolicy"},
	"dynamic_modules": {own: "DynamicModuleFilter"},
	"ext_proc":        {own: "ExternalProcessor"},
	"filter_chain":    {route: "FilterChainConfigPerRoute"},
	"golang":          {route: "ConfigsPerRoute"},
	"jwt_authn":       {own: "JwtAuthentication"},
	"mcp":             {route: "McpOverride"},
}

// ownOnRoutes are the filters that take on routes the message that configures them: those whose factory in Envoy has
// createRouteSpecificFilterConfigTyped of that message. Others refuse it, and with it all routes.
var ownOnRoutes = map[string]bool{
	"bandwidth_limit": true, "bandwidth_share": true, "csrf": true, "custom_response": true, "fault": true,
	"file_server": true, "file_system_buffer": true, "grpc_json_reverse_transcoder": true, "grpc_json_transcoder": true,
	"header_to_metadata": true, "json_to_metadata": true, "kill_request": true, "local_ratelimit": true,
	"set_filter_state": true, "set_metadata": true, "transform": true,
}

// refusedOnRoutes are the filters for which Envoy's API has a message for routes, and Envoy no factory that takes it.
var refusedOnRoutes = map[string]bool{"thrift_to_metadata": true}

// filterMessages returns the messages that configure a filter of Envoy's and its routes; route is nil for a filter that
// routes cannot configure.
func filterMessages(name string) (own, route protoreflect.MessageDescriptor, err error) {
	short, ok := strings.CutPrefix(name, filterNames)
	inPackage := map[string]protoreflect.MessageDescriptor{}
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(string(f.Package()), filterPackages+short+".v") {
			for i := range f.Messages().Len() {
				m := f.Messages().Get(i)
				inPackage[strings.ToLower(string(m.Name()))] = m
			}
		}
		return true
	})
	if !ok || len(inPackage) == 0 {
		return nil, nil, fmt.Errorf("%s; of a filter of another name, config must have its \"@type\"",
			config.Unknown("HTTP filter of Envoy's", name, knownFilters()))
	}
	find := func(names ...string) protoreflect.MessageDescriptor {
		for _, n := range names {
			if m := inPackage[strings.ToLower(n)]; m != nil {
				return m
			}
		}
		return nil
	}
	plain := strings.ReplaceAll(short, "_", "")
	irregular := messages[short]
	own = find(irregular.own, plain, plain+"Config", plain+"FilterConfig", "http"+plain, "Config", "FilterConfig")
	if own == nil && len(inPackage) == 1 {
		for _, m := range inPackage {
			own = m
		}
	}
	if own == nil {
		return nil, nil, errors.New(`config must have "@type", because the filter's name does not tell its message`)
	}
	if refusedOnRoutes[short] {
		return own, nil, nil
	}
	route = find(irregular.route, string(own.Name())+"PerRoute", plain+"PerRoute", "PerRouteConfig")
	if route == nil && ownOnRoutes[short] {
		route = own
	}
	return own, route, nil
}

// knownFilters returns the names of Envoy's HTTP filters whose messages this program has.
func knownFilters() []string {
	found := map[string]bool{}
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if rest, ok := strings.CutPrefix(string(f.Package()), filterPackages); ok {
			short, _, _ := strings.Cut(rest, ".")
			found[filterNames+short] = true
		}
		return true
	})
	return slices.Sorted(maps.Keys(found))
}

// routerMessage configures the filter that ends every list, by whatever name it has.
const (
	routerMessage = filterPackages + "router.v3.Router"
	alreadyRouted = "the router ends every list of filters already"
)

// typeField names the message that an object is, as in an Any.
const typeField = "@type"

// nativeMessage returns the message that configures one of Envoy's filters, or a route for it, or nil, and adds what is wrong.
func (p *problems) nativeMessage(at, name string, data map[string]any, ofRoute bool) protoreflect.MessageDescriptor {
	var given protoreflect.MessageDescriptor
	if url, ok := data[typeField].(string); ok {
		t, err := protoregistry.GlobalTypes.FindMessageByURL(url)
		if err != nil {
			p.add(config.Key(at+".config", typeField), "unknown message of Envoy's %q", url)
			return nil
		}
		given = t.Descriptor()
	}
	want, route, err := filterMessages(name)
	switch {
	case given != nil && given.FullName() == routerMessage && name != filterNames+"router":
		p.add(config.Key(at+".config", typeField), alreadyRouted)
		return nil
	case err != nil && given != nil:
		return given // the name is one that people have chosen
	case err != nil:
		p.add(at+".name", "%v", err)
		return nil
	case ofRoute && route == nil:
		p.add(at+".config", "%s has no configuration of a route's own; only disabled: true", name)
		return nil
	case ofRoute:
		want = route
	}
	if given != nil && given.FullName() != want.FullName() {
		p.add(config.Key(at+".config", typeField), "got %s, but %s takes %s here", given.FullName(), name, want.FullName())
		return nil
	}
	return want
}

// nativeConfig returns the configuration of one of Envoy's filters, or that of a route for it, and adds what is wrong.
func (p *problems) nativeConfig(at, name string, data map[string]any, ofRoute bool) proto.Message {
	d := p.nativeMessage(at, name, data, ofRoute)
	if d == nil {
		return nil
	}
	if _, ok := data[typeField]; ok {
		data = maps.Clone(data)
		delete(data, typeField)
	}
	t, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		p.add(at+".name", "unknown message of Envoy's %s", d.FullName())
		return nil
	}
	m := t.New().Interface()
	if data == nil {
		data = map[string]any{}
	}
	check := protocheck.Checker{Fail: p.add}
	if !check.Decode(at+".config", data, m) {
		return nil
	}
	if err := protocheck.Refused(m.ProtoReflect()); err != nil {
		p.add(at+".config", "Envoy would refuse it: %v", err)
		return nil
	}
	return m
}

// CheckEnvoyFilters reports what is wrong with filters of Envoy's own, which are nobody's routes' yet. The error is a
// config.Errors whose paths begin with envoyFilters.
func CheckEnvoyFilters(filters []EnvoyFilter) error {
	p := &problems{}
	o := &Options{Filter: map[string]any{}, EnvoyFilters: filters}
	o.checkEnvoyFilters(p)
	return p.all.Err()
}

// CheckRouteEnvoyFilters reports what is wrong with what a route has for filters of Envoy's own. listed are those of its
// listener, and advice, if it is not empty, says what to do about a filter that is not among them. The error is a
// config.Errors whose paths begin with envoyFilters.
func CheckRouteEnvoyFilters(filters []RouteEnvoyFilter, listed []EnvoyFilter, advice string) error {
	p := &problems{}
	p.routeEnvoyFilters("envoyFilters", filters, listed, advice)
	return p.all.Err()
}

// Message returns what a route has in typed_per_filter_config for f, which Check or [CheckRouteEnvoyFilters] has found to be
// good. name is that of the filter that f's entry of envoyFilters has.
func (f *RouteEnvoyFilter) Message(name string) proto.Message {
	if f.Disabled {
		return &routev3.FilterConfig{Disabled: true}
	}
	return native(name, f.Config, true)
}

// Message returns the message that configures f, which Check or [CheckEnvoyFilters] has found to be good.
func (f *EnvoyFilter) Message() proto.Message { return native(f.Name, f.Config, false) }

func (o *Options) checkEnvoyFilters(p *problems) {
	seen := map[string]bool{Name: true, filterNames + "router": true}
	parts := map[string]bool{}
	for _, part := range o.parts() {
		parts[part.Name] = true
	}
	for i := range o.EnvoyFilters {
		f := &o.EnvoyFilters[i]
		at := config.Index("envoyFilters", i)
		switch id := f.id(); {
		case id == Name || parts[id]:
			p.add(at+".id", "%q is a filter with plugins; choose another id", id)
		case f.Name == filterNames+"router":
			p.add(at+".name", alreadyRouted)
		case seen[id] && f.ID != "":
			p.add(at+".id", "duplicate id %q", id)
		case seen[id]:
			p.add(at+".name", "duplicate filter; give one of the two an id")
		}
		seen[f.id()] = true
		if f.Name != "" {
			p.nativeConfig(at, f.Name, f.Config, false)
		}
	}
	o.checkDivided(p)
	for i := range o.Routes {
		p.routeEnvoyFilters(config.Index("routes", i)+".envoyFilters", o.Routes[i].EnvoyFilters, o.EnvoyFilters, "")
	}
}

// routeEnvoyFilters adds what is wrong with the list at a path of what a route has for filters that are listed.
func (p *problems) routeEnvoyFilters(path string, filters []RouteEnvoyFilter, listed []EnvoyFilter, advice string) {
	routed := map[string]bool{}
	for i := range filters {
		f, at := &filters[i], config.Index(path, i)
		field := at + ".name"
		if f.ID != "" {
			field = at + ".id"
		}
		native := findEnvoyFilter(listed, f.id())
		switch {
		case f.id() == "":
			p.add(at+".name", "is required")
		case native == nil:
			p.add(field, "%s%s", config.Unknown("filter of envoyFilters", f.id(), envoyFilterIDs(listed)), advice)
		case routed[f.id()]:
			p.add(field, "duplicate filter %q", f.id())
		case f.Name != "" && f.Name != native.Name:
			p.add(at+".name", "the filter with id %q is %s", f.ID, native.Name)
		case f.Disabled && f.Config != nil:
			p.add(at+".config", "is for a filter that is not disabled")
		case !f.Disabled && f.Config == nil:
			p.add(at+".config", "is required, or disabled: true")
		case !f.Disabled:
			p.nativeConfig(at, native.Name, f.Config, true)
		}
		routed[f.id()] = true
	}
}

// checkDivided checks that plugins run by stage where filters stand between stages.
func (o *Options) checkDivided(p *problems) {
	i := slices.IndexFunc(o.EnvoyFilters, func(f EnvoyFilter) bool { return f.Divides() })
	if i < 0 {
		return
	}
	listed := func(doc map[string]any) bool { return doc["order"] == string(document.AsListed) }
	if listed(o.Filter) {
		p.add(config.Index("envoyFilters", i)+".stage", "needs order: stage, because plugins that run as listed cannot be "+
			"divided by their stages")
		return
	}
	for i := range o.Routes {
		if listed(o.Routes[i].Doc) {
			p.add(config.Index("routes", i)+".order", "envoyFilters stand between plugins, which cannot be divided by their "+
				"stages if they run as listed")
		}
	}
}

func findEnvoyFilter(listed []EnvoyFilter, id string) *EnvoyFilter {
	for i := range listed {
		if listed[i].id() == id {
			return &listed[i]
		}
	}
	return nil
}

func envoyFilterIDs(listed []EnvoyFilter) (ids []string) {
	for i := range listed {
		ids = append(ids, listed[i].id())
	}
	return ids
}

// natives returns Envoy's own filters at a boundary of stages, which Check has found to be good.
func (b *builder) natives(boundary int) (all []*hcmv3.HttpFilter) {
	for i := range b.o.EnvoyFilters {
		if f := &b.o.EnvoyFilters[i]; f.Boundary() == boundary {
			all = append(all, b.filter(f.id(), f.Message()))
		}
	}
	return all
}

// native is [problems.nativeConfig] of a configuration that Check has found to be good.
func native(name string, data map[string]any, ofRoute bool) proto.Message {
	p := &problems{}
	m := p.nativeConfig("", name, data, ofRoute)
	if m == nil {
		panic(p.all)
	}
	return m
}

// perRouteNatives adds what a route has for Envoy's own filters.
func (b *builder) perRouteNatives(route *routev3.Route, filters []RouteEnvoyFilter) {
	for i := range filters {
		f := &filters[i]
		if route.TypedPerFilterConfig == nil {
			route.TypedPerFilterConfig = map[string]*anypb.Any{}
		}
		route.TypedPerFilterConfig[f.id()] = pack(f.Message(findEnvoyFilter(b.o.EnvoyFilters, f.id()).Name))
	}
}
