package listener

import (
	"fmt"
	"io/fs"
	"reflect"

	"mosn.io/moe/framework/extension"
)

// A filter implements the methods that it needs, by name and signature; these interfaces name them. They run on the
// thread of the connection, which serves others too: what blocks belongs in [Go]. Methods for different connections run at
// the same time, those for one connection do not. A panic closes the connection; it is logged with its stack and counted.
type (
	// AcceptHandler is called when a connection has been accepted. Every filter has it.
	AcceptHandler interface {
		OnAccept(s *Socket) Action
	}
	// DataHandler is called with the client's first bytes, as [Peek] has asked for. They are a copy, to be kept or changed.
	DataHandler interface {
		OnData(s *Socket, p []byte) Action
	}
	// CloseHandler is called once where the connection ends before the filter has decided: the client has closed it, or has
	// sent too little for longer than the listener's listener_filters_timeout. The socket can no longer be asked.
	CloseHandler interface {
		OnClose(s *Socket)
	}
)

// ServerNamer is a configuration of a filter that may set the server name, for those behind it.
type ServerNamer interface{ SetsServerName() bool }

// What this package shares with other kinds of extension is framework/extension's; these are other names for it.
type (
	// Env is the surroundings of one configuration: given to Provision, it may be kept. Listener filters have no requests
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

// Registration describes a listener filter that is compiled in. It is for the framework, and not to be changed.
type Registration struct {
	extension.Registration

	Handler   reflect.Type                    // what has the methods: *T, or what newFilter returns
	PerSocket func(config any, s *Socket) any // newFilter, or nil
}

var registry extension.Registry[*Registration]

// Lookup returns the registration of a listener filter by its name, or nil.
func Lookup(name string) *Registration { return registry.Lookup(name) }

// Registrations returns the listener filters that are compiled in, by name.
func Registrations() []*Registration { return registry.All() }

// Register adds listener filter T under name, which is made of a-z, 0-9, "_" and "-"; call it in an init function. *T has
// the methods. What would be a surprise in production panics here, when the program starts: a name that is taken by
// another listener filter, no OnAccept, a method that begins with On and is none of these, a wrong signature, and a call
// outside of init.
func Register[T any](name string, opts ...Option) {
	register(&Registration{Registration: extension.RegistrationOf[T](name), Handler: reflect.TypeFor[*T]()}, opts)
}

// RegisterPerSocket adds listener filter T, as [Register] does, whose methods are those of S. newFilter makes one S for
// each connection, before OnAccept. It is how a filter keeps what it knows of a connection.
//
//	func init() { listener.RegisterPerSocket("hello", (*Hello).newFilter) }
func RegisterPerSocket[T, S any](name string, newFilter func(*T, *Socket) S, opts ...Option) {
	register(&Registration{
		Registration: extension.RegistrationOf[T](name), Handler: reflect.TypeFor[S](),
		PerSocket: func(config any, s *Socket) any { return newFilter(config.(*T), s) },
	}, opts)
}

func register(r *Registration, opts []Option) {
	for _, o := range opts {
		o(r)
	}
	registry.MustAdd("listener", r, r.check())
}

// handlers are the methods of filters.
var handlers = map[string]reflect.Type{
	"OnAccept": reflect.TypeFor[AcceptHandler](),
	"OnData":   reflect.TypeFor[DataHandler](),
	"OnClose":  reflect.TypeFor[CloseHandler](),
}

// check reports what is wrong with the methods of r.
func (r *Registration) check() error {
	t := r.Handler
	if err := extension.CheckHandlers(t, "listener filters", handlers); err != nil {
		return err
	}
	if !t.Implements(handlers["OnAccept"]) {
		return fmt.Errorf("%v has no OnAccept, which says how many bytes to look at", t)
	}
	return nil
}
