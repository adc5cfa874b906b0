package accesslog

import (
	"io/fs"
	"reflect"

	"mosn.io/moe/framework/extension"
)

// Logger is what an access logger implements.
type Logger interface {
	// Log is called when Envoy logs a stream or a connection: once when it ends, and at other times too where Envoy's
	// configuration asks for that, see [Entry.Event]. It runs on Envoy's thread, which serves nobody else meanwhile:
	// what takes time belongs on a goroutine of [Env.Go], with a copy of what it needs. Several threads call it at once.
	// A panic is logged and counted, and the next entry is logged again.
	Log(e Entry)
}

// Flusher is a [Logger] that keeps something back.
type Flusher interface {
	// Flush is called on each of Envoy's threads before that thread's logger ends, when a configuration is replaced or
	// Envoy stops. After the last of these calls the process may exit: what is to be kept must be written by then. It
	// should return within seconds.
	Flush()
}

// What this package shares with other kinds of extension is framework/extension's; these are other names for it.
type (
	// Env is the surroundings of one configuration: given to Provision, it may be kept. Access loggers have no requests
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

// Docs adds the logger's documentation, for `moe plugins`: a README.md, and optionally a schema.json, at the root of
// files, which is usually an embed.FS.
func Docs(files fs.FS) Option {
	return func(r *Registration) { extension.Docs(files)(&r.Registration) }
}

// Registration describes an access logger that is compiled in. It is for the framework, and not to be changed.
type Registration struct{ extension.Registration }

var registry extension.Registry[*Registration]

// Lookup returns the registration of an access logger by its name, or nil.
func Lookup(name string) *Registration { return registry.Lookup(name) }

// Registrations returns the access loggers that are compiled in, by name.
func Registrations() []*Registration { return registry.All() }

// Register adds access logger T under name, which is made of a-z, 0-9, "_" and "-"; call it in an init function. *T
// implements [Logger], and [Flusher] if it keeps something back. What would be a surprise in production panics here,
// when the program starts: a name that is taken by another access logger, no Log, a Flush or a method of the lifecycle
// with another signature, and a call outside of init.
func Register[T any](name string, opts ...Option) {
	r := &Registration{extension.RegistrationOf[T](name)}
	for _, o := range opts {
		o(r)
	}
	registry.MustAdd("accesslog", r,
		extension.CheckMethods(reflect.TypeFor[*T](), reflect.TypeFor[Logger](), reflect.TypeFor[Flusher]()))
}
