// Package block denies requests by what they look like: methods, paths, headers, bodies, and the programs that send them.
package block

import (
	"embed"
	"errors"
	"fmt"
	"regexp"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/match"
)

// Block denies the requests that one of its rules is for.
type Block struct {
	// Rules say which requests are denied: each those that meet all of its conditions.
	Rules []Rule `json:"rules" merge:"append" validate:"min=1,max=1000"`
	// MaxBody is how much of a body is searched, and how much of it once it is decoded.
	MaxBody filter.Size `json:"maxBody" default:"64KiB" validate:"min=1,max=67108864"`
	// Unsearchable says what becomes of a request whose body a rule has to search and cannot, as it is larger than maxBody,
	// or encoded in a way that is not known: deny, or pass.
	Unsearchable string `json:"unsearchable" default:"deny" enum:"deny,pass"`
	authz.Common

	path  authz.Path
	rules *filter.Tagged[*filter.Counter]
}

// Rule says which requests are denied.
type Rule struct {
	// Name tells rules apart in logs, metrics and metadata.
	Name string `json:"name" validate:"required,max=64"`
	match.Match
	// Query is a regular expression (RE2) for a part of the query, as it was sent or decoded.
	Query *regexp.Regexp `json:"query"`
	// Agent is for programs, by the user-agent that they send.
	Agent *Agent `json:"agent"`
	// Body is a regular expression (RE2) for a part of the body.
	Body *regexp.Regexp `json:"body"`
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.RegisterPerStream("block", filter.Access, (*Block).newStream, filter.Docs(docs))
}

// Validate checks the rules.
func (p *Block) Validate() error {
	var errs []error
	names := map[string]bool{}
	for i := range p.Rules {
		r := &p.Rules[i]
		at := fmt.Sprintf("rules[%d]", i)
		if errs = append(errs, match.Within(at, r.Match.Validate())); r.Agent != nil {
			errs = append(errs, match.Within(at+".agent", r.Agent.validate()))
		}
		if r.Empty() && r.Query == nil && r.Agent == nil && r.Body == nil {
			errs = append(errs, errors.New(at+": has no condition and would deny every request"))
		}
		if names[r.Name] {
			errs = append(errs, fmt.Errorf("%s.name: duplicate name %q", at, r.Name))
		}
		names[r.Name] = true
	}
	return errors.Join(errs...)
}

// Provision declares the counters and compiles the list of bots, if a rule needs it.
func (p *Block) Provision(env *filter.Env) error {
	p.Start(env)
	p.path = authz.Path{Mode: "normalize"}
	p.rules = env.Tag("rule").Counter("matched")
	for i := range p.Rules {
		if a := p.Rules[i].Agent; a != nil && len(a.Kinds) > 0 {
			a.kinds = kindsOf(a.Kinds)
			known() // now, and not with the first request
		}
	}
	return nil
}

// stream remembers the rules that still have to see the body.
type stream struct {
	p      *Block
	open   []*Rule
	failed error // of a rule, with failOpen
}

func (p *Block) newStream(filter.Stream) *stream { return &stream{p: p} }

// OnRequestHeaders tries the rules. A rule that has to see the body waits for it if all else is met.
func (st *stream) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, endStream bool) filter.Action {
	p := st.p
	r, _ := p.path.Request(s, h) // no path is ambiguous to the mode normalize
	var denied *Rule
	var failed error
	for i := range p.Rules {
		rule := &p.Rules[i]
		is, err := rule.is(&r)
		switch {
		case err != nil:
			failed = fmt.Errorf("rule %s: %w", rule.Name, err)
		case !is:
		case rule.Body == nil:
			denied = rule
		case !endStream:
			st.open = append(st.open, rule)
		}
		if denied != nil {
			return p.conclude(&r, denied, "")
		}
	}
	wait := len(st.open) > 0 && h.Upgrade() == ""
	switch {
	case wait && (failed == nil || p.FailOpen):
		st.failed = failed
		return filter.WaitPrefix(int(p.MaxBody) + 1)
	case failed != nil:
		return p.Conclude(&r, authz.Fail(failed))
	}
	return p.Conclude(&r, authz.Allow)
}

// OnRequest searches the body.
func (st *stream) OnRequest(s filter.Stream, h filter.RequestHeaders, b filter.Body) filter.Action {
	p := st.p
	r, _ := p.path.Request(s, h)
	texts, why := p.read(h, b)
	for _, rule := range st.open {
		for _, text := range texts {
			if rule.Body.Match(text) {
				return p.conclude(&r, rule, "")
			}
		}
	}
	if why != "" && p.Unsearchable == "deny" {
		return p.conclude(&r, st.open[0], why)
	}
	if st.failed != nil {
		return p.Conclude(&r, authz.Fail(st.failed))
	}
	return p.Conclude(&r, authz.Allow)
}

// conclude denies a request by a rule.
func (p *Block) conclude(r *authz.Request, rule *Rule, why string) filter.Action {
	p.rules.With(rule.Name).Inc()
	reason := "rule " + rule.Name
	if why != "" {
		reason += ": " + why
	}
	return p.Conclude(r, authz.Verdict{Reason: reason})
}

// is reports whether all conditions are met but that for the body.
func (rule *Rule) is(r *authz.Request) (bool, error) {
	if rule.Query != nil && !queryHas(rule.Query, r.Query) || rule.Agent != nil && !rule.Agent.is(r) {
		return false, nil
	}
	return rule.Match.Is(r)
}
