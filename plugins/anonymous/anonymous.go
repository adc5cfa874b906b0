// Package anonymous lets requests without credentials pass in the name of a consumer.
package anonymous

import (
	"embed"

	"mosn.io/moe/framework/filter"
)

// Anonymous takes the requests in which the plugins that authenticate have found no credential.
type Anonymous struct {
	// Consumer is the name of that consumer. It need not be listed; if it is, its groups, labels and plugins count.
	Consumer string `json:"consumer" default:"anonymous" validate:"required"`

	env      *filter.Env
	unlisted *filter.Consumer
	requests *filter.Counter
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.Register[Anonymous]("anonymous", filter.Authn, filter.AuthenticatesLast(), filter.Docs(docs))
}

// Provision keeps the Env, which knows the consumers as they are.
func (a *Anonymous) Provision(env *filter.Env) error {
	a.env, a.unlisted = env, &filter.Consumer{Name: a.Consumer}
	a.requests = env.Counter("requests")
	return nil
}

// OnRequestHeaders is called for requests without credentials only.
func (a *Anonymous) OnRequestHeaders(s filter.Stream, _ filter.RequestHeaders, _ bool) filter.Action {
	c := a.env.Consumer(a.Consumer)
	if c == nil {
		c = a.unlisted
	}
	a.requests.Inc()
	s.SetConsumer(c)
	return filter.Continue
}
