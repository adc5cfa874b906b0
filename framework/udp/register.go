package udp

import (
	"fmt"
	"io/fs"
	"reflect"

	"mosn.io/moe/framework/extension"
)

// DatagramHandler is what every filter is: it is called with each datagram that clients send to the listener. p is a copy, to
// be kept or changed; it is empty for a datagram without bytes.
//
// It runs on one of Envoy's threads, which serves others too: it must not block, and there is no other thread that it could
// leave the decision to, as Envoy takes none later. It runs for several datagrams at the same time. A panic
// drops the datagram; it is counted, and logged with its stack.
type DatagramHandler interface {
	OnDatagram(d *Datagram, p []byte) Action
}

// What this package shares with other kinds of extension is framework/extension's; these are other names for it.
type (
	// Env is the surroundings of one configuration: given to Provision, it may be kept. UDP filters have no requests over
	// Envoy's clusters ([Env.Transport]) and no consumers. What is counted outside of OnDatagram reaches Envoy's statistics
	// with the next datagram.
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

// Registration describes a UDP filter that is compiled in. It is for the framework, and not to be changed.
type Registration struct {
	extension.Registration
}

var registry extension.Registry[*Registration]

// Lookup returns the registration of a UDP filter by its name, or nil.
func Lookup(name string) *Registration { return registry.Lookup(name) }

// Registrations returns the UDP filters that are compiled in, by name.
func Registrations() []*Registration { return registry.All() }

// Register adds UDP filter T under name, which is made of a-z, 0-9, "_" and "-"; call it in an init function. *T has
// OnDatagram. What would be a surprise in production panics here, when the program starts: a name that is taken by another
// UDP filter, no OnDatagram, another method that begins with On, a wrong signature, and a call outside of init.
func Register[T any](name string, opts ...Option) {
	r := &Registration{extension.RegistrationOf[T](name)}
	for _, o := range opts {
		o(r)
	}
	registry.MustAdd("udp", r, check(reflect.TypeFor[*T]()))
}

// handlers are the methods of filters.
var handlers = map[string]reflect.Type{"OnDatagram": reflect.TypeFor[DatagramHandler]()}

// check reports what is wrong with the methods of t.
func check(t reflect.Type) error {
	if err := extension.CheckHandlers(t, "UDP filters", handlers); err != nil {
		return err
	}
	if !t.Implements(handlers["OnDatagram"]) {
		return fmt.Errorf("%v has no OnDatagram", t)
	}
	return nil
}
