package network

import (
	"fmt"
	"io/fs"
	"reflect"

	"mosn.io/moe/framework/extension"
)

// A filter implements the methods that it needs, by name and signature; these interfaces name them. They run on the
// thread of the connection, which serves others too: what blocks belongs in [Go] or [Pipe]. Methods for different
// connections run at the same time, those for one connection do not. A panic resets the connection; it is logged with its
// stack and counted.
type (
	// ConnectionHandler is called when a connection has been accepted, before the filters behind this one know of it:
	// before Envoy has chosen an upstream.
	ConnectionHandler interface {
		OnConnection(c *Conn) Action
	}
	// ReadHandler is called with bytes of the client, and once with the end of its stream where Envoy tells of that
	// (see [Data.End]).
	ReadHandler interface {
		OnRead(c *Conn, d *Data) Action
	}
	// WriteHandler is called with bytes for the client, and once with the end of them.
	WriteHandler interface {
		OnWrite(c *Conn, d *Data) Action
	}
	// CloseHandler is called once, when the connection has ended. Nothing can be sent any more; what Envoy knows of the
	// connection can still be asked.
	CloseHandler interface {
		OnClose(c *Conn, by Closer)
	}
)

// ServerNamer is a configuration that may need [Conn.ServerName]. `moe validate` reports a listener on which nobody looks
// for that name.
type ServerNamer interface{ NeedsServerName() bool }

// Closer is who closed a connection.
type Closer uint8

// Closers.
const (
	ByRemote Closer = iota // the client, or a fault of the network
	ByLocal                // Envoy: a filter, a timeout, or because the upstream has closed
)

// String is "remote" or "local".
func (c Closer) String() string { return [...]string{"remote", "local"}[c] }

// What this package shares with other kinds of extension is framework/extension's; these are other names for it.
type (
	// Env is the surroundings of one configuration: given to Provision, it may be kept. Network filters have no requests
	// over Envoy's clusters ([Env.Transport]) and no consumers.
	Env = extension.Env
	// Secret is a string that never prints. In a configuration it is a string, {env: NAME} or {file: PATH}.
	Secret = extension.Secret
	// Size is a number of bytes in a configuration: a number, or text such as "10MiB".
	Size = extension.Size

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

// Docs adds the filter's documentation, for `moe plugins`: a README.md, and optionally a schema.json, at the root of
// files, which is usually an embed.FS.
func Docs(files fs.FS) Option {
	return func(r *Registration) { extension.Docs(files)(&r.Registration) }
}

// Registration describes a network filter that is compiled in. It is for the framework, and not to be changed.
type Registration struct {
	extension.Registration

	Handler       reflect.Type                  // what has the methods: *T, or what newFilter returns
	PerConnection func(config any, c *Conn) any // newFilter, or nil

	wants Wants
}

var registry extension.Registry[*Registration]

// Lookup returns the registration of a network filter by its name, or nil.
func Lookup(name string) *Registration { return registry.Lookup(name) }

// Registrations returns the network filters that are compiled in, by name.
func Registrations() []*Registration { return registry.All() }

// Register adds network filter T under name, which is made of a-z, 0-9, "_" and "-"; call it in an init function. *T has
// the methods. What would be a surprise in production panics here, when the program starts: a name that is taken by
// another network filter, no method at all, a method that begins with On and is none of these, a wrong signature, and a
// call outside of init.
func Register[T any](name string, opts ...Option) {
	register(&Registration{Registration: extension.RegistrationOf[T](name), Handler: reflect.TypeFor[*T]()}, opts)
}

// RegisterPerConnection adds network filter T, as [Register] does, whose methods are those of S. newFilter makes one S for
// each connection, before the first method that the connection needs. It is how a filter keeps what it knows of a
// connection.
//
//	func init() { network.RegisterPerConnection("guard", (*Guard).newFilter) }
func RegisterPerConnection[T, S any](name string, newFilter func(*T, *Conn) S, opts ...Option) {
	register(&Registration{
		Registration: extension.RegistrationOf[T](name), Handler: reflect.TypeFor[S](),
		PerConnection: func(config any, c *Conn) any { return newFilter(config.(*T), c) },
	}, opts)
}

func register(r *Registration, opts []Option) {
	for _, o := range opts {
		o(r)
	}
	registry.MustAdd("network", r, r.check())
}

// handlers are the methods of filters, and wanted the events that they are for.
var (
	handlers = map[string]reflect.Type{
		"OnConnection": reflect.TypeFor[ConnectionHandler](),
		"OnRead":       reflect.TypeFor[ReadHandler](),
		"OnWrite":      reflect.TypeFor[WriteHandler](),
		"OnClose":      reflect.TypeFor[CloseHandler](),
	}
	wanted = map[string]Wants{
		"OnConnection": WantConnection, "OnRead": WantRead, "OnWrite": WantWrite, "OnClose": WantClose,
	}
)

// check reports what is wrong with the methods of r, and notes which there are.
func (r *Registration) check() error {
	t := r.Handler
	if err := extension.CheckHandlers(t, "network filters", handlers); err != nil {
		return err
	}
	for name, h := range handlers {
		if t.Implements(h) {
			r.wants |= wanted[name]
		}
	}
	if r.wants == 0 {
		return fmt.Errorf("%v has none of OnConnection, OnRead, OnWrite and OnClose", t)
	}
	return nil
}

// Wants returns the events that the filter has methods for.
func (r *Registration) Wants() Wants { return r.wants }
