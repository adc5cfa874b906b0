// Package redirect sends clients to another address.
package redirect

import (
	"embed"
	"errors"
	"fmt"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/match"
)

// Redirect answers requests with the address to which clients should go instead.
type Redirect struct {
	// Rules are tried in order. The first that is for a request answers it; requests without one pass.
	Rules []Rule `json:"rules" validate:"min=1,max=1000"`

	redirected *filter.Tagged[*filter.Counter]
	same, long *filter.Counter
	failed     *filter.Counter
}

// Rule redirects some requests.
type Rule struct {
	// Name tells rules apart in metrics.
	Name string `json:"name" default:"default"`
	match.Match
	// To says what becomes of the address.
	To Target `json:"to"`
	// Status is that of the reply.
	Status int `json:"status" default:"302" validate:"oneof=301 302 303 307 308"`
}

//go:embed README.md schema.json
var docs embed.FS

func init() { filter.Register[Redirect]("redirect", filter.Access, filter.Docs(docs)) }

// Validate checks the rules.
func (p *Redirect) Validate() error {
	var errs []error
	for i := range p.Rules {
		r := &p.Rules[i]
		at := fmt.Sprintf("rules[%d]", i)
		errs = append(errs, match.Within(at, r.Match.Validate()), match.Within(at+".to", r.To.validate(&r.Match)))
	}
	return errors.Join(errs...)
}

// Provision declares the counters.
func (p *Redirect) Provision(env *filter.Env) error {
	p.redirected = env.Tag("rule").Counter("redirected")
	p.same, p.long, p.failed = env.Counter("same"), env.Counter("too_long"), env.Counter("failed")
	return nil
}

// rawPath has rules see paths as they were sent, so that they are sent back with the same escapes.
var rawPath = authz.Path{Mode: "raw"}

// longest is how long an address may be: more is refused by many clients, and by Envoy as a header.
const longest = 8192

// OnRequestHeaders looks for the rule.
func (p *Redirect) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	r, _ := rawPath.Request(s, h)
	for i := range p.Rules {
		rule := &p.Rules[i]
		is, err := rule.Is(&r)
		if err != nil { // nothing is at stake: the request passes
			p.failed.Inc()
			s.Log().Warn("the expression when of a rule fails", "rule", rule.Name, "error", err)
			continue
		}
		if !is {
			continue
		}
		here, there := origin(h), rule.To.of(h, rule)
		location := there.String()
		switch {
		case !authority.MatchString(there.host):
			return malformed
		case there.same(here):
			p.same.Inc()
			continue
		case len(location) > longest:
			p.long.Inc()
			return tooLong
		}
		p.redirected.With(rule.Name).Inc()
		return filter.Reply(rule.Status, "", filter.WithHeader("location", location), filter.WithDetails("moe.redirect.redirected"))
	}
	return filter.Continue
}

var (
	malformed = filter.Reply(400, "malformed host", filter.WithDetails("moe.redirect.host"))
	tooLong   = filter.Reply(414, "the address is too long", filter.WithDetails("moe.redirect.too_long"))
)
