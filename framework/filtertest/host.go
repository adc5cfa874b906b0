// Package filtertest is an in-memory host for the unit tests of plugins.
//
//	func TestDenies(t *testing.T) {
//		h := filtertest.New(t, &TokenAuth{Secret: filter.NewSecret("s")})
//		if r := h.Get("/", "token", "bad"); r.Status != 403 {
//			t.Error(r.Status, r.Body)
//		}
//	}
//
// It is strict. What production only logs, or Envoy punishes, fails the test: headers changed too late or invalid, a
// content-length that does not fit, a panic, a plugin that never resumes a stream, a goroutine of [filter.Go] or
// [filter.Pipe] that outlives its stream, and a function of Env.Go that outlives its configuration.
package filtertest

import (
	"bytes"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/filter"
)

// Host runs a chain of plugins. Set its fields before the first request, and those that plugins ask for in Provision
// before [Host.Load]. Requests may run in parallel.
type Host struct {
	// Upstream answers what passes the chain; by default with the request's body.
	Upstream http.Handler
	// Chunk is how long the chunks are in which bodies arrive; 0: a body is one chunk.
	Chunk int
	// Attrs are the attributes of every stream.
	Attrs map[filter.Attr]string
	// Metadata is what streams begin with, by "namespace/key"; see [Response.Metadata].
	Metadata map[string]any
	// FilterState is what streams begin with; see [Response.FilterState].
	FilterState map[string]string
	// Secrets are Envoy's generic secrets, by name; see also [Host.SetSecret].
	Secrets map[string]string
	// Clusters is what Env.Transport finds.
	Clusters map[string]http.RoundTripper
	// Consumers are those that [filter.IndexConsumers] finds, by the credentials for the plugin's registered name; see
	// also [Host.SetConsumers].
	Consumers []*filter.Consumer
	// AnyScheme is `authentication: any`: one of several plugins that authenticate is enough.
	AnyScheme bool
	// ConsumerHeader is the request header that has the consumer's name; "" for none.
	ConsumerHeader string
	// ConsumerPlugins are what the chain has more for a consumer, by its name. Each is given as to [New], and replaces the plugin of
	// that name or comes last.
	ConsumerPlugins map[string][]any
	// Lacks is what this host cannot do.
	Lacks filter.Capability
	// BufferLimit is how much of a body a plugin may hold back; 0: any amount.
	BufferLimit int
	// Timeout is how long a plugin may keep a stream waiting: 5 s by default. Beyond it, the plugin is at fault.
	Timeout time.Duration
	// Leave is asked after each event that the chain has taken, "request headers" to "response trailers". Where it
	// returns true, the client goes away. It is also asked with "waiting" when the chain waits for a plugin.
	Leave func(after string) bool
	// AllowsBugs keeps a plugin's bugs from failing the test; see [Host.Bugs].
	AllowsBugs bool

	t     testing.TB
	label string

	mu      sync.Mutex
	log     bytes.Buffer
	bugs    []string
	open    int // streams
	closed  bool
	metrics map[string]*metric

	set         *extension.ConsumerSet
	meter       *chain.Meter
	list        []chain.Plugin
	chain       *chain.Chain
	ofConsumers map[string]*chain.Chain // by their names
	closers     []func()
}

// Config is a plugin by its registered name and its configuration as the operator writes it, in JSON or YAML. Defaults
// and validation apply.
type Config struct{ Name, JSON string }

// New returns a host that runs plugins in the order given, each a pointer to a configured struct or a [Config]. Defaults
// and validation apply to both; a field of a struct that is zero gets its default, so that a zero that is meant where
// there is a default takes a Config. The test fails if a plugin is refused.
func New(t testing.TB, plugins ...any) *Host {
	t.Helper()
	h := &Host{}
	if err := h.Load(t, plugins...); err != nil {
		t.Fatalf("filtertest: %v", err)
	}
	return h
}

// SetSecret gives a generic secret another value, as a rotation does; with "" it has none. It may be called while
// requests run.
func (h *Host) SetSecret(name, value string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	secrets := maps.Clone(h.Secrets) // the test's map stays as it is
	if secrets == nil {
		secrets = map[string]string{}
	}
	secrets[name] = value
	h.Secrets = secrets
}

// Log returns what was logged.
func (h *Host) Log() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.String()
}

// Bugs returns what would have failed the test but for AllowsBugs.
func (h *Host) Bugs() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.bugs...)
}

// bug is called from any goroutine.
func (h *Host) bug(plugin, what string) {
	h.mu.Lock()
	h.bugs = append(h.bugs, plugin+" "+what)
	closed := h.closed
	h.mu.Unlock()
	if !h.AllowsBugs && !closed { // a test that has ended cannot fail any more
		h.t.Errorf("plugin %s %s", plugin, what)
	}
}

func (h *Host) handler() slog.Handler {
	return slog.NewTextHandler(locked{h}, &slog.HandlerOptions{Level: slog.LevelDebug})
}

type locked struct{ h *Host }

// Write is that of io.Writer.
func (l locked) Write(p []byte) (int, error) {
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	return l.h.log.Write(p)
}
