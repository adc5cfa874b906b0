// Package consumerrestriction lets requests pass by who sends them.
package consumerrestriction

import (
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/fieldname"
)

// ConsumerRestriction denies requests by their consumer, method and path.
type ConsumerRestriction struct {
	// Allow lists what may pass. If it is missing, all may that is not denied.
	Allow []Rule `json:"allow" merge:"append"`
	// Deny lists what may not, even if it is in allow.
	Deny []Rule `json:"deny" merge:"append"`
	authz.Path
	authz.Common

	byRoute bool // a rule asks for the route
}

// Rule is about the requests that fit all of what it says. What it leaves out, it says nothing about.
type Rule struct {
	// Consumers are names of consumers, with * for any text: * alone is every request whose consumer is known.
	Consumers []string `json:"consumers"`
	// Groups are those of which the consumer is in one, with * for any text.
	Groups []string `json:"groups"`
	// Methods are those of the request, such as GET, in any case.
	Methods []string `json:"methods"`
	// Paths are those of the request: /a is /a alone, /a/* is /a and everything below, /a/*/b has any one segment there.
	Paths []string `json:"paths"`
	// Hosts are those of the request, without a port: www.example.com, or *.example.com for all hosts below example.com.
	Hosts []string `json:"hosts"`
	// Routes are names of Envoy's routes, with * for any text.
	Routes []string `json:"routes"`
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.Register[ConsumerRestriction]("consumerrestriction", filter.Authz, filter.Docs(docs))
}

// Validate refuses rules that mean nothing, or not what they seem to.
func (p *ConsumerRestriction) Validate() error {
	if len(p.Allow) == 0 && len(p.Deny) == 0 {
		return errors.New("allow: there must be a rule, in allow or deny")
	}
	var errs []error
	for name, rules := range map[string][]Rule{"allow": p.Allow, "deny": p.Deny} {
		for i := range rules {
			if err := rules[i].check(p.Path); err != nil {
				errs = append(errs, fmt.Errorf("%s[%d].%w", name, i, err))
			}
		}
	}
	return errors.Join(errs...)
}

func (r *Rule) check(path authz.Path) error {
	if len(r.Consumers)+len(r.Groups)+len(r.Methods)+len(r.Paths)+len(r.Hosts)+len(r.Routes) == 0 {
		return errors.New("consumers: the rule is empty; * is every consumer")
	}
	for field, values := range map[string][]string{
		"consumers": r.Consumers, "groups": r.Groups, "methods": r.Methods, "paths": r.Paths, "hosts": r.Hosts, "routes": r.Routes,
	} {
		if slices.Contains(values, "") {
			return fmt.Errorf("%s: has an empty text", field)
		}
		if values != nil && len(values) == 0 {
			return fmt.Errorf("%s: the list is empty; leave it out to say nothing about that", field)
		}
	}
	for _, m := range r.Methods {
		if err := fieldname.CheckMethod(strings.ToUpper(m)); err != nil { // case makes no difference here
			return fmt.Errorf("methods: %w", err)
		}
	}
	for _, h := range r.Hosts {
		if name := strings.TrimPrefix(h, "*."); strings.ContainsAny(name, "*/: ") && !strings.HasPrefix(name, "[") {
			return errors.New("hosts: expected a host without a port, such as www.example.com or *.example.com")
		}
	}
	for _, p := range r.Paths {
		segments := strings.Split(strings.TrimSuffix(p, "/*"), "/")
		for i := range segments {
			if segments[i] == "*" {
				segments[i] = "x" // what may stand there
			}
		}
		plain := strings.Join(segments, "/")
		switch read, query, err := path.Read(plain + "/"); {
		case p[0] != '/' || strings.ContainsAny(plain, "*?"):
			return errors.New("paths: a path begins with a slash, and has no ? and no * but for a whole segment")
		case err != nil || query != "" || path.Mode != "raw" && !path.IgnoreCase && read != plain+"/":
			return errors.New("paths: no request's path is ever read like this one; write it decoded and without dot segments")
		}
	}
	return nil
}

// Provision declares the counters.
func (p *ConsumerRestriction) Provision(env *filter.Env) error {
	p.Start(env)
	asks := func(r Rule) bool { return len(r.Routes) > 0 }
	p.byRoute = slices.ContainsFunc(p.Allow, asks) || slices.ContainsFunc(p.Deny, asks)
	if p.IgnoreCase {
		for _, rules := range [][]Rule{p.Allow, p.Deny} {
			for _, r := range rules {
				for i := range r.Paths {
					r.Paths[i] = strings.ToLower(r.Paths[i])
				}
			}
		}
	}
	return nil
}

const (
	inDeny  = "a rule of deny fits"
	noAllow = "no rule of allow fits"
)

// OnRequestHeaders looks for a rule.
func (p *ConsumerRestriction) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	r, err := p.Path.Request(s, h)
	return p.Ask(&r, err, func() authz.Verdict { return p.verdict(&r) })
}

func (p *ConsumerRestriction) verdict(r *authz.Request) authz.Verdict {
	q := &question{consumer: r.Stream.Consumer(), method: r.Method(), Request: r}
	if p.byRoute {
		var err error
		if q.route, err = r.Stream.Attr(filter.AttrRouteName); err != nil && !errors.Is(err, filter.ErrNotFound) {
			return authz.Fail(fmt.Errorf("the route's name: %w", err))
		}
	}
	switch {
	case slices.ContainsFunc(p.Deny, q.fits):
		return authz.Verdict{Reason: inDeny}
	case len(p.Allow) > 0 && !slices.ContainsFunc(p.Allow, q.fits):
		return authz.Verdict{Reason: noAllow}
	}
	return authz.Allow
}
