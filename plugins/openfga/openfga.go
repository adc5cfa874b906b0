// Package openfga lets requests pass if OpenFGA says that the caller has a relation to an object.
package openfga

import (
	"embed"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/expression"
	"mosn.io/moe/plugins/internal/lookup"
	"mosn.io/moe/plugins/internal/outbound"
)

// OpenFGA denies the requests whose caller does not have a relation to an object.
type OpenFGA struct {
	// URL is the address of OpenFGA's HTTP API.
	URL *url.URL `json:"url" validate:"required"`
	outbound.Connection
	// Store is the ID of the store.
	Store string `json:"store" validate:"required"`
	// Model is the ID of the authorization model; if it is empty, the store's newest counts.
	Model string `json:"model"`
	// Token is the preshared key that OpenFGA demands, if it does.
	Token filter.Secret `json:"token"`
	// User is an expression of CEL for the user, such as "user:" + consumer.name.
	User string `json:"user" default:"consumer.name == '' ? '' : 'user:' + consumer.name"`
	// Relation is an expression of CEL for the relation, such as request.method == "GET" ? "reader" : "writer".
	Relation string `json:"relation" validate:"required"`
	// Object is an expression of CEL for the object, such as "document:" + request.segments[1].
	Object string `json:"object" validate:"required"`
	// Consistency is whether OpenFGA may answer from its own cache (minimizeLatency) or not (higherConsistency).
	Consistency string `json:"consistency" default:"minimizeLatency" enum:"minimizeLatency,higherConsistency"`
	// Path says how the expressions see the path.
	Path authz.Path `json:"path"`
	// Metadata lists the values of dynamic metadata that the expressions may use.
	Metadata []authz.Metadata `json:"metadata"`
	// CacheSize is how many answers are remembered of each kind. 0: none.
	CacheSize int `json:"cacheSize" default:"10000" validate:"min=0,max=10000000"`
	// CacheTTL is how long an answer is remembered, and so how long a relation that is taken away still counts.
	CacheTTL time.Duration `json:"cacheTTL" default:"5s"`
	authz.Common

	user, relation, object expression.Program
	check                  *url.URL
	client                 *http.Client
	stop                   func()
	answers                *lookup.Table[bool]
}

//go:embed README.md schema.json
var docs embed.FS

func init() { filter.Register[OpenFGA]("openfga", filter.Authz, filter.Docs(docs)) }

// Validate compiles the expressions and checks the addresses.
func (p *OpenFGA) Validate() error {
	cache := p.cache()
	errs := []error{p.Connection.Validate(), cache.Validate()}
	if p.URL != nil {
		if err := p.Check(p.URL); err != nil {
			errs = append(errs, fmt.Errorf("url: %w", err))
		} else if p.URL.RawQuery != "" || p.URL.Fragment != "" {
			errs = append(errs, errors.New("url: must have no query and no fragment"))
		}
	}
	for field, id := range map[string]string{"store": p.Store, "model": p.Model} {
		if strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune("/?#%", c) }) {
			errs = append(errs, fmt.Errorf("%s: is not an ID of OpenFGA", field))
		}
	}
	_, err := p.compile()
	return errors.Join(append(errs, err)...)
}

func (p *OpenFGA) cache() lookup.Cache {
	return lookup.Cache{CacheSize: p.CacheSize, CacheTTL: p.CacheTTL, RefusedTTL: p.CacheTTL}
}

// compile returns the programs of user, relation and object.
func (p *OpenFGA) compile() (programs [3]expression.Program, err error) {
	var errs []error
	for i, e := range []struct{ field, text string }{{"user", p.User}, {"relation", p.Relation}, {"object", p.Object}} {
		if programs[i], err = expression.Compile(e.text, expression.Text, expression.Options{Metadata: p.Metadata}); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", e.field, err))
		}
	}
	return programs, errors.Join(errs...)
}

// Provision makes the client. It asks nothing: a server that is down must not keep Envoy from starting.
func (p *OpenFGA) Provision(env *filter.Env) error {
	p.Start(env)
	programs, err := p.compile()
	if err != nil {
		return err
	}
	p.user, p.relation, p.object = programs[0], programs[1], programs[2]
	p.check = p.URL.JoinPath("stores", p.Store, "check")
	p.answers = lookup.New[bool](env, p.cache())
	p.client, p.stop, err = p.Connection.Client(env)
	return err
}

// Close closes the connections.
func (p *OpenFGA) Close() error {
	if p.stop != nil {
		p.stop()
	}
	return nil
}
