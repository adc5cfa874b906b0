// Package casbin lets requests pass that a Casbin policy allows.
package casbin

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/fieldname"
	"mosn.io/moe/plugins/internal/reload"
)

// Casbin denies the requests that a Casbin policy does not allow.
type Casbin struct {
	// Model is Casbin's model: what a request and a rule are made of, and when one matches the other.
	Model string `json:"model"`
	// ModelFile is the file of the model, instead.
	ModelFile string `json:"modelFile"`
	// Policy has the rules, one per line, as comma-separated values.
	Policy string `json:"policy"`
	// PolicyFile is the file of the rules, instead.
	PolicyFile string `json:"policyFile"`
	// Request says what the model's request is made of, in its order: subject, method, path, host, scheme, source (the
	// client's IP address) or header:NAME.
	Request []string `json:"request" default:"subject,path,method" validate:"min=1"`
	// Subject says who a request is from.
	Subject authz.Subject `json:"subject"`
	// Path says how rules see the path.
	Path authz.Path `json:"path"`
	authz.Common
	reload.Files

	values []func(r *authz.Request, subject string) string
	secret []bool // which of the values are not to be logged
	policy atomic.Pointer[policy]
}

//go:embed README.md schema.json
var docs embed.FS

func init() { filter.Register[Casbin]("casbin", filter.Authz, filter.Docs(docs)) }

// Validate compiles what is inline.
func (p *Casbin) Validate() error {
	errs := []error{p.Files.Validate(), p.Subject.Validate()}
	either := func(field, inline, file string, needed bool) {
		switch {
		case inline != "" && file != "":
			errs = append(errs, fmt.Errorf("%s and %sFile are mutually exclusive", field, field))
		case inline == "" && file == "" && needed:
			errs = append(errs, fmt.Errorf("%s: is required, or %sFile", field, field))
		}
	}
	either("model", p.Model, p.ModelFile, true)
	either("policy", p.Policy, p.PolicyFile, true)
	p.values, p.secret = nil, nil
	for i, name := range p.Request {
		f, err := p.value(name)
		if err != nil {
			errs = append(errs, fmt.Errorf("request[%d]: %w", i, err))
		}
		p.values = append(p.values, f)
		p.secret = append(p.secret, strings.HasPrefix(name, "header:"))
	}
	if err := errors.Join(errs...); err != nil || p.ModelFile != "" {
		return err
	}
	policy, err := compile("model", p.Model, len(p.Request))
	if err == nil && p.Policy != "" {
		_, err = policy.with("policy", p.Policy)
	}
	return err
}

// value returns how to find one of Request.
func (p *Casbin) value(name string) (func(*authz.Request, string) string, error) {
	if header, ok := strings.CutPrefix(name, "header:"); ok {
		if err := fieldname.Check(header); err != nil {
			return nil, err
		}
		return func(r *authz.Request, _ string) string { v, _ := r.Header(header); return v }, nil
	}
	switch name {
	case "subject":
		return func(_ *authz.Request, subject string) string { return subject }, nil
	case "method":
		return func(r *authz.Request, _ string) string { return r.Method() }, nil
	case "path":
		return func(r *authz.Request, _ string) string { return r.Path }, nil
	case "host":
		return func(r *authz.Request, _ string) string { return r.Host() }, nil
	case "scheme":
		return func(r *authz.Request, _ string) string { return r.Headers.Scheme() }, nil
	case "source":
		return func(r *authz.Request, _ string) string {
			if a := p.Source(r).Addr(); a.IsValid() {
				return a.WithZone("").String()
			}
			return ""
		}, nil
	}
	return nil, errors.New("expected subject, method, path, host, scheme, source or header:NAME")
}

// Provision reads the files and goes on to follow them.
func (p *Casbin) Provision(env *filter.Env) error {
	p.Start(env)
	var paths []string
	for _, f := range []string{p.ModelFile, p.PolicyFile} {
		if f != "" {
			paths = append(paths, f)
		}
	}
	return p.Follow(env, nil, paths, p.load)
}

func (p *Casbin) load(files []reload.File) error {
	model, rules, modelName, rulesName := p.Model, p.Policy, "model", "policy"
	for i, f := range files {
		if i == 0 && p.ModelFile != "" {
			model, modelName = string(f.Data), f.Path
		} else {
			rules, rulesName = string(f.Data), f.Path
		}
	}
	compiled, err := compile(modelName, model, len(p.Request))
	if err != nil {
		return err
	}
	loaded, err := compiled.with(rulesName, rules)
	if err == nil {
		p.policy.Store(loaded)
	}
	return err
}

// many is how many rules are too many to look at on Envoy's thread: one costs one to ten microseconds, as Casbin
// compiles patterns anew for each.
const many = 20

// OnRequestHeaders asks the policy.
func (p *Casbin) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	r, err := p.Path.Request(s, h)
	policy := p.policy.Load()
	if policy.rules > many {
		return p.AskLater(&r, err, func(context.Context) authz.Verdict { return p.ask(policy, &r) })
	}
	return p.Ask(&r, err, func() authz.Verdict { return p.ask(policy, &r) })
}

func (p *Casbin) ask(policy *policy, r *authz.Request) authz.Verdict {
	subject, err := p.Subject.Name(&p.Mode, r)
	if err != nil {
		return authz.Fail(err)
	}
	if subject == "" {
		return authz.NoSubject
	}
	values := make([]any, len(p.values))
	for i, f := range p.values {
		values[i] = f(r, subject)
	}
	allowed, err := policy.enforcer.Enforce(values...)
	if err != nil {
		return authz.Fail(p.plain(err, values))
	}
	return authz.Verdict{Allowed: allowed}
}

// plain is err without a stack and without what must not be logged.
func (p *Casbin) plain(err error, values []any) error {
	text, _, _ := strings.Cut(err.Error(), "\n")
	for i, secret := range p.secret {
		if v, _ := values[i].(string); secret && v != "" {
			text = strings.ReplaceAll(text, v, "…")
		}
	}
	if p.Subject.From == "header" {
		return errors.New("the matcher fails") // the subject may be a credential
	}
	return errors.New(text)
}
