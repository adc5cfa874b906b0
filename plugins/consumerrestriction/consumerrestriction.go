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
}

// Rule is about the requests that fit all of what it says. What it leaves out, it says nothing about.
type Rule struct {
	// Consumers are names of consumers; * is every request whose consumer is known.
	Consumers []string `json:"consumers"`
	// Groups are those of which the consumer is in one.
	Groups []string `json:"groups"`
	// Methods are those of the request, such as GET, in any case.
	Methods []string `json:"methods"`
	// Paths are those of the request: /a is /a alone, /a/* is /a and everything below.
	Paths []string `json:"paths"`
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
	if len(r.Consumers)+len(r.Groups)+len(r.Methods)+len(r.Paths) == 0 {
		return errors.New("consumers: the rule is empty; * is every consumer")
	}
	for field, values := range map[string][]string{
		"consumers": r.Consumers, "groups": r.Groups, "methods": r.Methods, "paths": r.Paths,
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
	for _, p := range r.Paths {
		plain := strings.TrimSuffix(p, "/*")
		switch read, query, err := path.Read(plain + "/"); {
		case p[0] != '/' || strings.ContainsAny(plain, "*?"):
			return errors.New("paths: a path begins with a slash, and has no ? and no * but in /* at its end")
		case err != nil || query != "" || path.Mode != "raw" && !path.IgnoreCase && read != plain+"/":
			return errors.New("paths: no request's path is ever read like this one; write it decoded and without dot segments")
		}
	}
	return nil
}

// Provision declares the counters.
func (p *ConsumerRestriction) Provision(env *filter.Env) error {
	p.Start(env)
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
	c, method := r.Stream.Consumer(), r.Method()
	switch {
	case slices.ContainsFunc(p.Deny, func(rule Rule) bool { return rule.fits(c, method, r.Path) }):
		return authz.Verdict{Reason: inDeny}
	case len(p.Allow) > 0 && !slices.ContainsFunc(p.Allow, func(rule Rule) bool { return rule.fits(c, method, r.Path) }):
		return authz.Verdict{Reason: noAllow}
	}
	return authz.Allow
}

func (r *Rule) fits(c *filter.Consumer, method, path string) bool {
	if len(r.Consumers) > 0 && (c == nil || !slices.Contains(r.Consumers, c.Name) && !slices.Contains(r.Consumers, "*")) {
		return false
	}
	if len(r.Groups) > 0 && !slices.ContainsFunc(r.Groups, c.InGroup) {
		return false
	}
	if len(r.Methods) > 0 && !slices.ContainsFunc(r.Methods, func(m string) bool { return strings.EqualFold(m, method) }) {
		return false
	}
	return len(r.Paths) == 0 || slices.ContainsFunc(r.Paths, func(p string) bool { return below(path, p) })
}

// below reports whether pattern means path. As most servers do, it ignores a slash at the end of path.
func below(path, pattern string) bool {
	if path != "/" {
		path = strings.TrimSuffix(path, "/")
	}
	stem, all := strings.CutSuffix(pattern, "/*")
	if !all {
		if stem != "/" {
			stem = strings.TrimSuffix(stem, "/")
		}
		return path == stem
	}
	rest, ok := strings.CutPrefix(path, stem)
	return ok && (rest == "" || rest[0] == '/')
}
