package bootstrap

import (
	"context"
	"fmt"
	"io/fs"
	"reflect"
	"time"

	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/internal/core"
)

// An extension implements the methods that it needs, by name and signature; these interfaces name them. They are called one
// after the other, on goroutines, so that a method may wait; the next is called when it has returned. A panic in one ends
// that method; it is logged with its stack and counted.
type (
	// ServerInitializedHandler is called once, when Envoy has read its configuration, and before it takes traffic: Envoy's
	// workers begin when OnServerInitialized has returned, or after [InitTimeout] at the latest, with which ctx ends. An error,
	// a panic and a time-out are logged and counted, and Envoy begins all the same: whoever cannot work without what was not
	// there refuses requests.
	ServerInitializedHandler interface {
		OnServerInitialized(ctx context.Context, s *Server) error
	}
	// InitTimeouter has another time than [InitTimeout], such as one of its configuration. It is asked once.
	InitTimeouter interface{ InitTimeout() time.Duration }
	// DrainStartedHandler is called when Envoy begins to drain all listeners, such as by POST /drain_listeners?graceful or
	// before a hot restart. SIGTERM ends Envoy without a drain.
	DrainStartedHandler interface {
		OnDrainStarted(s *Server)
	}
	// ShutdownHandler is called once, when Envoy begins to end. Envoy waits until OnShutdown has returned, for
	// [ShutdownTimeout] at most, with which ctx ends. The methods before it count: one that has not returned keeps it waiting.
	ShutdownHandler interface {
		OnShutdown(ctx context.Context, s *Server)
	}
	// AdminPager has pages in Envoy's admin interface. It is asked once, when Envoy loads the configuration, which is refused
	// if a page is wrong.
	AdminPager interface{ AdminPages() []Page }
)

// Times that Envoy waits for extensions.
const (
	InitTimeout     = 15 * time.Second
	ShutdownTimeout = 5 * time.Second
)

// What this package shares with other kinds of extension is framework/extension's; these are other names for it.
type (
	// Env is the surroundings of one configuration: given to Provision, it may be kept. Bootstrap extensions have no
	// requests over Envoy's clusters ([Env.Transport]) and no consumers.
	Env = extension.Env
	// Secret is a string that never prints. In a configuration it is a string, {env: NAME} or {file: PATH}.
	Secret = extension.Secret
	// Size is a number of bytes in a configuration: a number, or text such as "10MiB".
	Size = extension.Size

	// Overview is what is at work in a process: the chains of its filters, provisioned plugins, consumers.
	Overview = core.Overview
	// PluginOverview is a plugin of a chain in an [Overview].
	PluginOverview = core.PluginOverview

	// Counter counts up; [Env.Counter] declares one.
	Counter = extension.Counter
	// Gauge goes up and down; [Env.Gauge] declares one.
	Gauge = extension.Gauge
	// Histogram records a distribution; [Env.Histogram] declares one.
	Histogram = extension.Histogram

	// Validator checks a decoded configuration, after the `validate` tags; it may keep in it what it has worked out.
	Validator = extension.Validator
	// Provisioner sets up clients, files and metrics, once per distinct configuration.
	Provisioner = extension.Provisioner
)

// Option refines a registration.
type Option func(*Registration)

// Docs adds the extension's documentation, for `moe plugins`: a README.md, and optionally a schema.json, at the root of
// files, which is usually an embed.FS.
func Docs(files fs.FS) Option {
	return func(r *Registration) { extension.Docs(files)(&r.Registration) }
}

// Registration describes a bootstrap extension that is compiled in. It is for the framework, and not to be changed.
type Registration struct{ extension.Registration }

var registry extension.Registry[*Registration]

// Lookup returns the registration of a bootstrap extension by its name, or nil.
func Lookup(name string) *Registration { return registry.Lookup(name) }

// Registrations returns the bootstrap extensions that are compiled in, by name.
func Registrations() []*Registration { return registry.All() }

// Register adds bootstrap extension T under name, which is made of a-z, 0-9, "_" and "-"; call it in an init function. *T
// has at least one of the methods above. A misspelt one, or a name that is taken, panics.
func Register[T any](name string, opts ...Option) {
	r := &Registration{extension.RegistrationOf[T](name)}
	for _, o := range opts {
		o(r)
	}
	registry.MustAdd("bootstrap", r, r.check())
}

// handlers are the methods of extensions.
var handlers = map[string]reflect.Type{
	"OnServerInitialized": reflect.TypeFor[ServerInitializedHandler](),
	"OnDrainStarted":      reflect.TypeFor[DrainStartedHandler](),
	"OnShutdown":          reflect.TypeFor[ShutdownHandler](),
	"AdminPages":          reflect.TypeFor[AdminPager](),
	"InitTimeout":         reflect.TypeFor[InitTimeouter](),
}

// check reports what is wrong with the methods of r.
func (r *Registration) check() error {
	t := reflect.PointerTo(r.Config)
	if err := extension.CheckHandlers(t, "bootstrap extensions", handlers); err != nil {
		return err
	}
	for name, h := range handlers {
		if name != "InitTimeout" && t.Implements(h) {
			return nil
		}
	}
	return fmt.Errorf("%v has no method that Envoy would call, such as OnServerInitialized", t)
}
