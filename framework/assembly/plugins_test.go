package assembly

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
	_ "mosn.io/moe/pkg/consumer" // reads the tests' files
)

// limit is a plugin with state: whether two configurations share it can be seen.
type limit struct {
	Rate   int           `json:"rate" validate:"required"`
	Burst  int           `json:"burst" default:"1"`
	Words  []string      `json:"words" merge:"append"`
	Mode   string        `json:"mode" enum:"soft,hard"`
	Secret filter.Secret `json:"secret"`
	Fail   string        `json:"fail" enum:"validate,provision,panic,close,closepanic"`
	Sub    struct {
		A int `json:"a"`
		B int `json:"b"`
	} `json:"sub"`

	hits   *filter.Counter
	closed atomic.Int32
}

func (l *limit) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	l.hits.Inc()
	return filter.Continue
}

func (l *limit) Validate() error {
	if l.Fail == "validate" {
		return errors.New("it fails as asked with " + l.Secret.Reveal())
	}
	return nil
}

var provisioned, closed atomic.Int32

func (l *limit) Provision(env *filter.Env) error {
	switch l.Fail {
	case "provision":
		return errors.New("cannot reach " + l.Secret.Reveal())
	case "panic":
		panic("no luck with " + l.Secret.Reveal())
	}
	provisioned.Add(1)
	l.hits = env.Counter("hits")
	return nil
}

func (l *limit) Close() error {
	if l.closed.Add(1) != 1 {
		panic("closed twice")
	}
	closed.Add(1)
	switch l.Fail {
	case "close":
		return errors.New("cannot close " + l.Secret.Reveal())
	case "closepanic":
		panic("cannot close " + l.Secret.Reveal())
	}
	return nil
}

// key authenticates.
type key struct {
	Header string `json:"header" default:"x-key"`

	consumers *filter.Index[credential]
}

type credential struct {
	Key filter.Secret `json:"key" validate:"required"`
}

func (k *key) Provision(env *filter.Env) (err error) {
	k.consumers, err = filter.IndexConsumers(env, func(c *credential) []string {
		return []string{c.Key.Reveal()}
	})
	return err
}

func (k *key) find(word string) *filter.Consumer {
	c, _ := k.consumers.Find(word)
	return c
}

func (k *key) count() (n int) {
	for range k.consumers.All() {
		n++
	}
	return n
}

func (k *key) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	c, _ := k.consumers.Find(h.Get(k.Header))
	s.SetConsumer(c)
	return filter.Continue
}

// own merges on its own: the child's tags come first.
type own struct {
	Tags []string `json:"tags"`
}

func (*own) Merge(parent, child map[string]any) (map[string]any, error) {
	if child["panic"] == true {
		panic("in Merge")
	}
	if child["refuse"] == true {
		return nil, errors.New("refuse is not possible here")
	}
	p, _ := parent["tags"].([]any)
	c, _ := child["first"].([]any)
	return map[string]any{"tags": append(c, p...)}, nil
}

func (*own) OnComplete(filter.Stream) {}

// greedy needs what the test's host lacks.
type greedy struct{}

func (*greedy) OnComplete(filter.Stream) {}

func init() {
	filter.Register[limit]("limit", filter.Traffic)
	filter.Register[key]("key", filter.Authn)
	filter.Register[own]("own", filter.Observe)
	filter.Register[greedy]("greedy", filter.Access, filter.Needs(filter.CanPipePromptly))
}

type host struct {
	name string
	mu   sync.Mutex
	log  bytes.Buffer
}

func (h *host) Name() string         { return h.name }
func (h *host) Capabilities() uint32 { return ^uint32(filter.CanPipePromptly) }
func (h *host) Log() slog.Handler    { return slog.NewTextHandler(h, nil) }
func (h *host) Transport(string) (http.RoundTripper, error) {
	return nil, filter.ErrUnsupported
}

func (h *host) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.Write(p)
}

func (h *host) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.String()
}

// fixture is an Assembler with a host of its own, so that tests share no instances.
func fixture(t *testing.T) (*Assembler, *host) {
	h := &host{name: t.Name()}
	t.Cleanup(func() {
		// What consumers had is closed in the background.
		eventually(t, "all instances are closed", func() bool { return alive() == 0 })
	})
	return New(h), h
}

func alive() int { return len(instances.All()) }

func doc(t testing.TB, text string) any {
	t.Helper()
	v, err := config.Parse([]byte(text))
	if err != nil {
		t.Fatalf("config.Parse: %v", err)
	}
	return v
}

func mustFilter(t testing.TB, a *Assembler, text string) *Filter {
	t.Helper()
	f, err := a.Filter(ChainName, doc(t, text))
	if err != nil {
		t.Fatalf("a.Filter: %v", err)
	}
	return f
}

func mustRoute(t testing.TB, a *Assembler, text string) *Route {
	t.Helper()
	r, err := a.Route(ChainName, doc(t, text))
	if err != nil {
		t.Fatalf("a.Route: %v", err)
	}
	return r
}

// of returns the chain of a consumer, or nil.
func (b *live) of(consumer string) *live {
	jt := (*b.consumers.byName.Load())[consumer]
	if jt == nil {
		return nil
	}
	return jt.now.Load()
}

func (j *consumerChains) count() int { return len(*j.byName.Load()) }
