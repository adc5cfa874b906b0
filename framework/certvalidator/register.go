package certvalidator

import (
	"io/fs"
	"reflect"

	"mosn.io/moe/framework/extension"
)

// Verifier is what a certificate validator implements.
type Verifier interface {
	// Verify decides about the certificates of a peer. Envoy's thread, which serves nobody else meanwhile, waits for the
	// verdict: it has to come from what is in memory, in far less than a millisecond. What takes time belongs on a
	// goroutine of [Env.Go], ahead of handshakes. A panic, [runtime.Goexit], and a verdict that takes more than a second
	// refuse the certificate, and are logged. While eight calls of a configuration have taken longer than that and still run,
	// certificates are refused without a call. Several goroutines call Verify at once.
	Verify(h Handshake) Verdict
}

// SessionBinder is a [Verifier] whose decisions depend on more than its configuration, such as on files. Envoy resumes the
// TLS sessions of clients without asking a validator again; see docs/certificate-validators.md.
type SessionBinder interface {
	// SessionContext returns bytes that stand for all that decisions depend on. Envoy calls it when it sets up a listener's
	// TLS, and resumes sessions only where the bytes, the validator's name and its configuration are as they were when the
	// session began. It may have to wait for files, but not for long: Envoy's main thread waits for it.
	SessionContext() []byte
}

// What this package shares with other kinds of extension is framework/extension's; these are other names for it.
type (
	// Env is the surroundings of one configuration: given to Provision, it may be kept. Certificate validators have no
	// requests over Envoy's clusters ([Env.Transport]) and no consumers; Envoy takes no metrics from them.
	Env = extension.Env
	// Secret is a string that never prints. In a configuration it is a string, {env: NAME} or {file: PATH}.
	Secret = extension.Secret

	// Validator checks a decoded configuration, after the `validate` tags; it may keep in it what it has worked out.
	Validator = extension.Validator
	// Provisioner sets up what the validator needs, once per distinct configuration.
	Provisioner = extension.Provisioner
)

// Errors of a [Handshake].
var (
	ErrNotFound    = extension.ErrNotFound    // there is no such filter state
	ErrUnsupported = extension.ErrUnsupported // this Envoy cannot
)

// Option refines a registration.
type Option func(*Registration)

// Docs adds the validator's documentation, for `moe plugins`: a README.md, and optionally a schema.json, at the root of
// files, which is usually an embed.FS.
func Docs(files fs.FS) Option {
	return func(r *Registration) { extension.Docs(files)(&r.Registration) }
}

// Registration describes a certificate validator that is compiled in. It is for the framework, and not to be changed.
type Registration struct{ extension.Registration }

var registry extension.Registry[*Registration]

// Lookup returns the registration of a certificate validator by its name, or nil.
func Lookup(name string) *Registration { return registry.Lookup(name) }

// Registrations returns the certificate validators that are compiled in, by name.
func Registrations() []*Registration { return registry.All() }

// Register adds certificate validator T under name, which is made of a-z, 0-9, "_" and "-"; call it in an init function.
// *T implements [Verifier], and [SessionBinder] if it depends on more than its configuration. What would be a surprise in
// production panics here, when the program starts: a name that is taken by another certificate validator, no Verify, a
// SessionContext or a method of the lifecycle with another signature, and a call outside of init.
func Register[T any](name string, opts ...Option) {
	r := &Registration{extension.RegistrationOf[T](name)}
	for _, o := range opts {
		o(r)
	}
	registry.MustAdd("certvalidator", r,
		extension.CheckMethods(reflect.TypeFor[*T](), reflect.TypeFor[Verifier](), reflect.TypeFor[SessionBinder]()))
}
