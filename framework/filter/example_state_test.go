package filter_test

import (
	"fmt"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// Tenant says which tenant a request is of; plugins after this one read the key.
type Tenant struct{}

// TenantKey holds the tenant.
var TenantKey *filter.Key[string] = filter.NewKey[string]("tenant")

// Quota counts by tenant.
type Quota struct {
	Max int `json:"max" default:"1"`

	over *filter.Tagged[*filter.Counter]
	used map[string]int
}

// Sizes has a handler for each stream.
type Sizes struct{ report func(path string, size int) }

type sizes struct {
	*Sizes
	path string
	size int
}

func init() {
	filter.Register[Tenant]("tenant", filter.Authn)
	filter.Register[Quota]("quota", filter.Traffic)
	filter.RegisterPerStream("sizes", filter.Observe, func(c *Sizes, _ filter.Stream) *sizes { return &sizes{Sizes: c} })
}

func (*Tenant) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	TenantKey.Set(s, h.Get("x-tenant"))
	return filter.Continue
}

// Provision declares what the plugin counts, as moe.quota.over.
func (q *Quota) Provision(env *filter.Env) error {
	q.over, q.used = env.Tag("tenant").Counter("over"), map[string]int{}
	return nil
}

func (q *Quota) OnRequestHeaders(s filter.Stream, _ filter.RequestHeaders, _ bool) filter.Action {
	tenant, _ := TenantKey.Get(s)
	if q.used[tenant]++; q.used[tenant] > q.Max { // an example: a real plugin locks, as streams run in parallel
		q.over.With(tenant).Inc()
		return filter.Reply(429, "")
	}
	return filter.Continue
}

func (s *sizes) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	s.path = h.Path()
	return filter.Continue
}

func (s *sizes) OnResponseBody(_ filter.Stream, b filter.Body, _ bool) filter.Action {
	s.size += b.Len()
	return filter.Continue
}

func (s *sizes) OnComplete(filter.Stream) { s.report(s.path, s.size) }

// A Key carries a typed value from one plugin of a stream to the next.
func ExampleKey() {
	h := run(&Tenant{}, &Quota{Max: 1})
	for range 2 {
		fmt.Println(h.Get("/", "x-tenant", "acme").Status)
	}
	fmt.Println(h.Metric("over", "acme"))
	// Output:
	// 200
	// 429
	// 1
}

// RegisterPerStream gives each stream a handler of its own.
func ExampleRegisterPerStream() {
	h := run(&Sizes{report: func(path string, size int) { fmt.Println(path, size) }})
	h.Chunk = 4
	h.Post("/a", "0123456789")
	// Output: /a 10
}

// APIKey authenticates; consumers' credentials for it are of type apiKey.
type APIKey struct{ consumers *filter.Index[apiKey] }

type apiKey struct {
	Key filter.Secret `json:"key" validate:"required"`
}

func init() { filter.Register[APIKey]("apikey", filter.Authn, filter.WithCredential[apiKey]()) }

// Provision indexes who there is.
func (a *APIKey) Provision(env *filter.Env) (err error) {
	a.consumers, err = filter.IndexConsumers(env, func(c *apiKey) []string { return []string{c.Key.Reveal()} })
	return err
}

// ReadsCredentials names what plugins that write logs hide.
func (*APIKey) ReadsCredentials() filter.CredentialPlaces {
	return filter.CredentialPlaces{Headers: []string{"x-api-key"}}
}

var _ filter.CredentialReader = (*APIKey)(nil)

var (
	noKey    = filter.Unauthenticated(filter.Reply(401, "who are you?", filter.WithHeader("www-authenticate", "ApiKey")))
	wrongKey = filter.Reply(401, "who are you?", filter.WithHeader("www-authenticate", "ApiKey"))
)

func (a *APIKey) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	if !h.Has("x-api-key") {
		return noKey // another plugin may find another credential
	}
	c, _ := a.consumers.Find(h.Get("x-api-key"))
	if c == nil {
		return wrongKey
	}
	s.SetConsumer(c) // the stream goes on with the chain of this consumer
	return filter.Continue
}

// IndexConsumers finds the consumers by what they present.
func ExampleIndexConsumers() {
	h := &filtertest.Host{Consumers: []*filter.Consumer{
		{Name: "ann", Credentials: map[string]map[string]any{"apikey": {"key": "k1"}}},
	}}
	if err := h.Load(exampleT{}, &APIKey{}); err != nil {
		panic(err)
	}
	fmt.Println(h.Get("/", "x-api-key", "k1").Status, h.Get("/").Status)
	// Output: 200 401
}
