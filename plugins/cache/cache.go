// Package cache answers requests with responses that it has stored.
package cache

import (
	"embed"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/fieldname"
	"mosn.io/moe/plugins/internal/ipset"
	"mosn.io/moe/plugins/internal/requestkey"
	"mosn.io/moe/plugins/internal/store"
)

// Cache is a shared cache by RFC 9111: it stores responses that say that they may be, and answers requests with them.
type Cache struct {
	// MaxBytes is how much memory stored responses take together.
	MaxBytes filter.Size `json:"maxBytes" default:"64MiB"`
	// MaxObject is how long a body may be that is stored.
	MaxObject filter.Size `json:"maxObject" default:"1MiB"`
	// MaxVariants is how many responses of a resource are stored that differ by Vary.
	MaxVariants int `json:"maxVariants" default:"16" validate:"min=1,max=1000"`
	// MaxVary is how many fields Vary may name for a response to be stored.
	MaxVary int `json:"maxVary" default:"8" validate:"min=0,max=64"`
	// MaxAge bounds for how long a response is used without being validated, whatever it says.
	MaxAge time.Duration `json:"maxAge" default:"8760h"`
	// Heuristic is the part of the time since last-modified for which a response is taken for fresh that does not say for how
	// long it is; 0 stores no such response.
	Heuristic float64 `json:"heuristic" validate:"min=0,max=1"`
	// StaleWhileRevalidate and StaleIfError are for how long a response that says nothing about it may be used when it is no
	// longer fresh: while one request revalidates it, and in place of an error of the upstream.
	StaleWhileRevalidate time.Duration `json:"staleWhileRevalidate"`
	StaleIfError         time.Duration `json:"staleIfError"`
	// RefreshCluster is the Envoy cluster at which responses are revalidated in the background, with the path, the host and the
	// headers that this plugin sees. Without it, one request is the one that revalidates, and waits.
	RefreshCluster string `json:"refreshCluster"`
	// Collapse is for how long requests wait for the response to another one, to share it; 0s: each asks the upstream.
	Collapse time.Duration `json:"collapse" default:"5s"`
	// Key has more parts of requests tell resources apart, beside scheme, host, path and query.
	Key requestkey.Key `json:"key" validate:"max=8"`
	// Isolate says who shares the responses to requests with credentials: consumer keeps them for the same consumer, or, where
	// none is known, for the same value of authorization; none has all share them, as far as the responses allow.
	Isolate string `json:"isolate" default:"consumer" enum:"consumer,none"`
	// Unkeyed are headers by which upstreams are known to decide and which are not part of the key: requests that have one
	// pass by the cache. Without a list they are those that the README names.
	Unkeyed []string `json:"unkeyed"`
	// StoreCookies stores responses that set cookies, which all clients get then.
	StoreCookies bool `json:"storeCookies"`
	// IgnoreClients does not let clients decide, by Cache-Control, that they want no stored response.
	IgnoreClients bool `json:"ignoreClients"`
	// CacheStatus is the name that cache-status has for this cache (RFC 9211); "none" leaves the field out.
	CacheStatus string `json:"cacheStatus" default:"moe"`
	// Purge says who may remove responses, with the method PURGE. Without it, the method means nothing to this plugin.
	Purge *Purge `json:"purge"`
	// Redis has responses stored there, too, so that several Envoys share them.
	Redis *Shared `json:"redis"`

	memory  *memory
	flights *flights
	unkeyed map[string]bool
	mode    authz.Mode
	path    authz.Path
	env     *filter.Env
	refresh http.RoundTripper
	now     func() time.Time
	counts  counts
}

// Purge says who may remove responses: requests have to be from one of the networks and from one of the consumers, as far as
// there is a list.
type Purge struct {
	// Networks are those that requests may come from, by the address that Envoy determines.
	Networks []netip.Prefix `json:"networks" validate:"max=1000"`
	// Consumers are the names of those who may.
	Consumers []string `json:"consumers" validate:"max=1000"`

	networks *ipset.Set
}

type counts struct {
	hits, stale, revalidated, misses, stored, evicted, collapsed, refreshed, purged *filter.Counter
	bypassed, unstored                                                              *filter.Tagged[*filter.Counter]
	bytes, objects                                                                  *filter.Gauge
}

var now = time.Now // tests have a clock of their own

// unkeyed are headers that frameworks and servers take for the host, the path or the method, and that clients can send.
var unkeyed = []string{
	"forwarded", "x-forwarded-host", "x-forwarded-server", "x-forwarded-scheme", "x-forwarded-prefix", "x-forwarded-path",
	"x-host", "x-original-host", "x-http-host-override", "x-original-url", "x-rewrite-url", "x-http-method-override",
	"x-http-method", "x-method-override", "x-http-destinationurl",
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.RegisterPerStream("cache", filter.Traffic, (*Cache).newStream, filter.Docs(docs))
}

// Validate checks sizes, times and names.
func (p *Cache) Validate() error {
	errs := p.Key.Check("key", nil)
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if p.MaxBytes < 1<<10 || p.MaxBytes > 1<<40 {
		bad("maxBytes: must be 1KiB to 1TiB")
	}
	if p.MaxObject < 1 || p.MaxObject > p.MaxBytes {
		bad("maxObject: must be 1 byte to maxBytes")
	}
	for _, t := range []struct {
		name string
		d    time.Duration
	}{{"maxAge", p.MaxAge}, {"staleWhileRevalidate", p.StaleWhileRevalidate}, {"staleIfError", p.StaleIfError}} {
		if t.d < 0 || t.d > 100*365*24*time.Hour {
			bad("%s: must be 0s to 100 years", t.name)
		}
	}
	if p.Collapse < 0 || p.Collapse > 20*time.Second {
		bad("collapse: must be 0s to 20s")
	}
	if !isToken(p.CacheStatus) {
		bad("cacheStatus: must be a token, such as moe")
	}
	for i, name := range p.Unkeyed {
		if err := fieldname.Check(name); err != nil {
			bad("unkeyed[%d]: %w", i, err)
		}
	}
	if p.Purge != nil && len(p.Purge.Networks) == 0 && len(p.Purge.Consumers) == 0 {
		bad("purge: give networks or consumers; otherwise all clients could remove responses")
	}
	if p.Redis != nil {
		errs = append(errs, store.InField("redis", p.Redis.Validate())...)
	}
	return errors.Join(errs...)
}

// Provision makes an empty cache.
func (p *Cache) Provision(env *filter.Env) error {
	p.env = env
	p.mode.StartAddress(env)
	p.path = authz.Path{Mode: "raw"}
	p.Key.Start()
	p.now = now
	names := p.Unkeyed
	if names == nil {
		names = unkeyed
	}
	p.unkeyed = map[string]bool{}
	for _, name := range names {
		p.unkeyed[strings.ToLower(name)] = true
	}
	p.counts = counts{
		hits: env.Counter("hits"), stale: env.Counter("stale"), revalidated: env.Counter("revalidated"),
		misses: env.Counter("misses"), stored: env.Counter("stored"), evicted: env.Counter("evicted"),
		collapsed: env.Counter("collapsed"), refreshed: env.Counter("refreshed"), purged: env.Counter("purged"),
		bypassed: env.Tag("reason").Counter("bypassed"), unstored: env.Tag("reason").Counter("unstored"),
		bytes: env.Gauge("bytes"), objects: env.Gauge("objects"),
	}
	p.memory = newMemory(int64(p.MaxBytes), p.MaxVariants)
	p.memory.bytes, p.memory.objects, p.memory.evicted = p.counts.bytes, p.counts.objects, p.counts.evicted
	p.flights = &flights{m: map[digest]*flight{}}
	if p.Purge != nil {
		p.Purge.networks = ipset.New(p.Purge.Networks)
	}
	if p.RefreshCluster != "" {
		var err error
		if p.refresh, err = env.Transport(p.RefreshCluster); err != nil {
			return fmt.Errorf("refreshCluster: %w", err)
		}
	}
	if p.Redis != nil {
		if err := p.Redis.start(env); err != nil {
			return fmt.Errorf("redis: %w", err)
		}
	}
	return nil
}

// Close empties the memory and ends the connections.
func (p *Cache) Close() error {
	if p.memory != nil {
		p.memory.close()
	}
	if p.Redis != nil && p.Redis.client != nil {
		return p.Redis.client.Close()
	}
	return nil
}
