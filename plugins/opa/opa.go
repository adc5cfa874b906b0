// Package opa lets requests pass that a Rego policy allows, of the Open Policy Agent.
package opa

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/outbound"
	"mosn.io/moe/plugins/internal/reload"
)

// OPA denies the requests that a Rego policy does not allow. The policy is evaluated here, or by a server of OPA's.
type OPA struct {
	// Decision is the path of the decision in the policy's data, with slashes: moe/allow is data.moe.allow. (A remote
	// server's is in its URL.)
	Decision string `json:"decision" default:"moe/allow"`
	// Modules are Rego modules by name.
	Modules map[string]string `json:"modules"`
	// Data is the policy's data, besides that in files.
	Data map[string]any `json:"data"`
	// Paths are files of Rego, JSON and YAML, or directories of *.rego, *.json, *.yaml and *.yml. The data of a file in a
	// directory's subdirectory has its path.
	Paths []string `json:"files"`
	// Bundle is where a bundle of policy and data is found, instead.
	Bundle *Bundle `json:"bundle"`
	// Remote is a server to ask, instead.
	Remote *Remote `json:"remote"`
	// Input is the form of what the policy calls input: moe, or envoy, that of the plugin that OPA's project has for Envoy
	// (opa-envoy-plugin), so that its policies can be used as they are.
	Input string `json:"input" default:"moe" enum:"moe,envoy"`
	// RequestBody has the policy see the bodies of requests.
	RequestBody *RequestBody `json:"requestBody"`
	// LogDecisions writes each decision to Envoy's log.
	LogDecisions bool `json:"logDecisions"`
	// Timeout is how long a decision may take.
	Timeout time.Duration `json:"timeout" default:"1s"`
	// StrictErrors has an error of a built-in function be an error, with which there is no decision. Otherwise its result
	// is undefined.
	StrictErrors bool `json:"strictErrors" default:"true"`
	// Path says how the policy sees the path.
	Path authz.Path `json:"path"`
	// Metadata lists the values of dynamic metadata that the policy may use.
	Metadata []authz.Metadata `json:"metadata"`
	authz.Common
	reload.Files

	source    source
	namespace string // of metadata
}

// Bundle is a bundle, as OPA packs them: a gzipped tar file.
type Bundle struct {
	// File is its path.
	File string `json:"file"`
	// URL is its address, if a server has it.
	URL *url.URL `json:"url"`
	// Interval is how often the server is asked for a new one.
	Interval time.Duration `json:"interval" default:"1m"`
	// Token is sent to the server as a bearer token.
	Token filter.Secret `json:"token"`
	// VerifyWith is the public key in PEM (or, with an algorithm HS…, the secret) that bundles are signed with. Without
	// it, signatures are not looked at.
	VerifyWith filter.Secret `json:"verifyWith"`
	// Algorithm is that of the signature.
	Algorithm string `json:"algorithm" default:"RS256"`
	// Scope is that of the signature, if it has one.
	Scope string `json:"scope"`
	outbound.Connection
}

// Remote is a server with OPA's REST API.
type Remote struct {
	// URL is the address of the decision, such as http://localhost:8181/v1/data/moe/allow.
	URL *url.URL `json:"url" validate:"required"`
	// Token is sent as a bearer token.
	Token filter.Secret `json:"token"`
	outbound.Connection
}

// source is where decisions come from.
type source interface {
	// decide returns the decision about input, or undefined if no rule defines it.
	decide(ctx context.Context, input map[string]any) (any, error)
	// usesAddress reports whether the decision may depend on the client's address.
	usesAddress() bool
}

// undefined is the decision where no rule defines one.
type undefined struct{}

//go:embed README.md schema.json
var docs embed.FS

func init() { filter.Register[OPA]("opa", filter.Authz, filter.Docs(docs)) }

// Validate checks that there is one policy, and compiles it if it is inline.
func (p *OPA) Validate() error {
	errs := []error{p.Files.Validate()}
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	here := len(p.Modules) > 0 || len(p.Paths) > 0
	switch {
	case here && (p.Bundle != nil || p.Remote != nil), p.Bundle != nil && p.Remote != nil:
		fail("there must be one of modules and files, bundle, and remote")
	case !here && p.Bundle == nil && p.Remote == nil:
		fail("modules: is required, or files, bundle or remote")
	case !here && len(p.Data) > 0:
		fail("data: is for modules and files only")
	}
	if p.Timeout <= 0 {
		fail("timeout: must be more than 0")
	}
	query, err := queryOf(p.Decision)
	if err != nil && p.Remote == nil {
		fail("decision: %w", err)
	}
	if p.Bundle != nil {
		errs = append(errs, p.Bundle.check()...)
	}
	if p.Remote != nil {
		if err := p.Remote.Check(p.Remote.URL); err != nil {
			fail("remote.url: %w", err)
		}
		if err := p.Remote.Connection.Validate(); err != nil {
			fail("remote.%w", err)
		}
	}
	if err := errors.Join(errs...); err != nil || !here {
		return err
	}
	if len(p.Paths) == 0 { // what is in files is for Provision
		_, err = p.compile(query, nil)
	} else {
		_, err = parseModules(p.Modules)
	}
	return err
}

// Provision loads the policy and goes on to follow it.
func (p *OPA) Provision(env *filter.Env) error {
	p.Start(env)
	p.namespace = "moe." + env.ID
	if p.Remote != nil {
		r, err := newRemote(env, p.Remote)
		p.source = r
		return err
	}
	query, err := queryOf(p.Decision)
	if err != nil {
		return fmt.Errorf("decision: %w", err)
	}
	policy := newLocal(p.StrictErrors)
	p.source = policy
	if p.Bundle != nil {
		return p.follow(env, policy, query)
	}
	return p.Follow(env, suffixes, p.Paths, func(files []reload.File) error {
		prepared, err := p.compile(query, files)
		if err == nil {
			policy.use(prepared)
		}
		return err
	})
}

// Close closes connections.
func (p *OPA) Close() error {
	if r, ok := p.source.(*remote); ok {
		r.close()
	}
	return nil
}

// OnRequestHeaders asks the policy, or waits for the body that it is to see.
func (p *OPA) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, endStream bool) filter.Action {
	switch {
	case p.RequestBody == nil:
		return p.ask(s, h, nil)
	case endStream || h.Upgrade() != "":
		return p.ask(s, h, &parsed{})
	}
	return filter.WaitPrefix(int(p.RequestBody.MaxBytes) + 1)
}

// OnRequest asks the policy, with the body.
func (p *OPA) OnRequest(s filter.Stream, h filter.RequestHeaders, b filter.Body) filter.Action {
	body, err := p.RequestBody.parse(h, b)
	if err != nil { // the client has written it: no error of the rules, with which failOpen would let it pass
		r, ambiguous := p.Path.Request(s, h)
		return p.Ask(&r, ambiguous, func() authz.Verdict { return authz.Verdict{Reason: err.Error(), Reply: &badBody} })
	}
	return p.ask(s, h, body)
}

var badBody = filter.Reply(400, "malformed body", filter.WithDetails("moe.opa.body"))

// ask asks the policy, on a goroutine: Rego may wait for servers, and take its time.
func (p *OPA) ask(s filter.Stream, h filter.RequestHeaders, body *parsed) filter.Action {
	r, err := p.Path.Request(s, h)
	return p.AskLater(&r, err, func(ctx context.Context) authz.Verdict {
		start := time.Now()
		input, err := p.input(&r, body)
		if err != nil {
			return authz.Fail(err)
		}
		ctx, cancel := context.WithTimeout(ctx, p.Timeout)
		defer cancel()
		decision, err := p.source.decide(ctx, input)
		v := authz.Fail(err)
		if err == nil {
			v = p.verdict(decision, s, h)
		}
		if p.LogDecisions {
			p.logDecision(&r, v, time.Since(start))
		}
		return v
	})
}

// logDecision writes a decision to the log: no header, no query and no body.
func (p *OPA) logDecision(r *authz.Request, v authz.Verdict, took time.Duration) {
	result := "deny"
	switch {
	case v.Err != nil:
		result = "error"
	case v.Allowed:
		result = "allow"
	}
	r.Stream.Log().InfoContext(extension.EveryLine(context.Background()), "decision", "result", result, "reason", v.Reason, "method", r.Method(), "path", r.Path,
		"consumer", r.Consumer().Name, "milliseconds", float64(took.Microseconds())/1000)
}

// queryOf makes Rego of the path of a decision.
func queryOf(path string) (string, error) {
	path = strings.Trim(path, "/")
	if path == "" {
		return "", errors.New("expected the path of a rule, such as moe/allow")
	}
	q := "data"
	for s := range strings.SplitSeq(path, "/") {
		if s == "" || strings.ContainsAny(s, "\x00\n\\\"`") {
			return "", errors.New("expected the path of a rule, such as moe/allow")
		}
		q += `["` + s + `"]`
	}
	return q, nil
}
