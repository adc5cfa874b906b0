package filter

import (
	"io"

	"mosn.io/moe/framework/extension"
)

// What this package shares with other kinds of extension is framework/extension's; these are other names for it.
type (
	// Env is the surroundings of one configuration of a plugin: given to Provision, it may be kept in the plugin. It
	// logs, runs functions in the background, makes HTTP requests over Envoy's clusters, declares metrics and finds
	// consumers: see [extension.Env] for its methods.
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
	// Tagged is a Counter, a Gauge or a Histogram with one tag, whose value With takes; [Env.Tag] declares one.
	Tagged[M any] = extension.Tagged[M]
	// Tagged2 is a metric with two tags.
	Tagged2[M any] = extension.Tagged2[M]

	// Shared has values that several configurations use at once, such as a file that all of them append to: made for the
	// first user, closed after the last.
	Shared[K comparable, V io.Closer] = extension.Shared[K, V]

	// Consumer is who sent a request, as an authentication plugin found out. It is shared: read it only.
	Consumer = extension.Consumer
	// Index finds consumers by their credentials for one plugin, of type C; [IndexConsumers] makes one.
	Index[C any] = extension.Index[C]
)

// A configuration may have these methods beside its phases. They are called in this order, and last of all the Close of
// io.Closer, once no stream uses the configuration any more. A method with one of these names and another signature
// panics in [Register].
type (
	// Merger replaces the default merge of a route's or consumer's configuration over its parent's.
	Merger = extension.Merger
	// Validator checks a decoded configuration, after the `validate` tags; it may keep in it what it has worked out.
	Validator = extension.Validator
	// Provisioner sets up clients, caches and metrics, once per distinct configuration.
	Provisioner = extension.Provisioner
)

// Capability is something that not every host can do, or a set of such things: [Needs] demands it, and [Env.Has] asks
// for it. The table of hosts in docs/hosts.md says which host has which.
type Capability = extension.Capability

// The capabilities.
const (
	CanCallout         = extension.CanCallout         // Env.Transport: HTTP over Envoy's clusters
	CanUseFilterState  = extension.CanUseFilterState  // Stream.FilterState and Stream.SetFilterState
	CanSetUpstreamHost = extension.CanSetUpstreamHost // Stream.SetUpstreamHost: choose the host of the cluster
	CanClearRouteCache = extension.CanClearRouteCache // Stream.ClearRouteCache: have the route chosen again
	CanRecordHistogram = extension.CanRecordHistogram // Env.Histogram in the host's statistics
	CanSetMetadata     = extension.CanSetMetadata     // Stream.SetMetadata seen by other filters and access logs
	CanStreamReply     = extension.CanStreamReply     // ReplyReader without a complete copy in memory
	CanPipePromptly    = extension.CanPipePromptly    // Pipe: what is written moves on before the next Read
	CanReadSecret      = extension.CanReadSecret      // Stream.Secret: Envoy's generic secrets
)

// Errors of a host or a stream.
var (
	ErrStreamDone  = extension.ErrStreamDone  // the stream has ended
	ErrUnsupported = extension.ErrUnsupported // this host cannot; docs/hosts.md says which can
	ErrNotFound    = extension.ErrNotFound    // there is no such attribute, metadata, filter state or secret
)

// NewSecret makes a secret, for tests and for configurations that Go code writes.
func NewSecret(v string) Secret { return extension.NewSecret(v) }

// ParseSize reads a size as a configuration has it. Its error does not quote text.
func ParseSize(text string) (Size, error) { return extension.ParseSize(text) }

// IndexConsumers decodes each consumer's credentials for this plugin (by its registered name, whatever its id in the
// chain) as a C and finds it by each of the keys that keys returns: an API key, a user's name, a key's id. It is called
// in Provision. See [extension.IndexConsumers] for what is an error.
func IndexConsumers[C any](env *Env, keys func(*C) []string) (*Index[C], error) {
	return extension.IndexConsumers(env, keys)
}
