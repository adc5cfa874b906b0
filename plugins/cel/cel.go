// Package cel lets requests pass for which an expression of the Common Expression Language is true.
package cel

import (
	"embed"
	"fmt"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
)

// CEL denies the requests for which an expression is not true.
type CEL struct {
	// AllowIf is the expression. It is of type bool.
	AllowIf string `json:"allowIf" validate:"required"`
	// Path says how the expression sees the path.
	Path authz.Path `json:"path"`
	// Metadata lists the values of dynamic metadata that the expression may use.
	Metadata []authz.Metadata `json:"metadata"`
	// CostLimit bounds what one evaluation may cost, in CEL's units: about one for each step, and one for each ten bytes
	// of text that a step looks at.
	CostLimit uint64 `json:"costLimit" default:"20000" validate:"min=1,max=1000000"`
	authz.Common

	program *program
}

//go:embed README.md schema.json
var docs embed.FS

func init() { filter.Register[CEL]("cel", filter.Authz, filter.Docs(docs)) }

// environment declares what expressions may use. It is made when it is first needed, and takes some milliseconds.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	text, texts := cel.StringType, cel.ListType(cel.StringType)
	labels := cel.MapType(cel.StringType, cel.StringType)
	options := []cel.EnvOption{
		cel.OptionalTypes(), ext.Strings(), ext.Sets(), ext.Network(), ext.Encoders(),
		cel.DefaultUTCTimeZone(true), cel.RegexProgramSizeLimit(10_000),
	}
	for name, t := range map[string]*cel.Type{
		"request.method": text, "request.scheme": text, "request.host": text, "request.path": text,
		"request.raw_path": text, "request.segments": texts, "request.query": cel.MapType(text, texts),
		"request.headers": labels, "request.time": cel.TimestampType,
		"source.address": text, "source.port": cel.IntType, "source.principal": text,
		"destination.address": text, "destination.port": cel.IntType,
		"connection.mtls": cel.BoolType, "connection.tls_version": text, "connection.requested_server_name": text,
		"connection.subject_peer_certificate": text, "connection.uri_san_peer_certificate": text,
		"connection.dns_san_peer_certificate": text, "connection.sha256_peer_certificate_digest": text,
		"consumer.name": text, "consumer.groups": texts, "consumer.labels": labels,
		"consumer.attributes": cel.MapType(text, cel.DynType),
		"metadata":            cel.MapType(text, cel.MapType(text, cel.DynType)),
	} {
		options = append(options, cel.Variable(name, t))
	}
	return cel.NewEnv(options...)
})

// Validate compiles the expression and checks its types.
func (p *CEL) Validate() (err error) {
	if p.program, err = compile(p.AllowIf, types.BoolType, p.CostLimit); err != nil {
		return fmt.Errorf("allowIf: %w", err)
	}
	return nil
}

// Provision declares the counters.
func (p *CEL) Provision(env *filter.Env) error {
	p.Start(env)
	return nil
}

// OnRequestHeaders evaluates the expression.
func (p *CEL) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	r, err := p.Path.Request(s, h)
	return p.Ask(&r, err, func() authz.Verdict { return p.evaluate(&r) })
}

func (p *CEL) evaluate(r *authz.Request) authz.Verdict {
	out, err := p.program.eval(&variables{r: r, mode: &p.Mode, names: p.Metadata})
	if err != nil {
		return authz.Fail(err)
	}
	if out == types.True {
		return authz.Allow
	}
	return authz.Verdict{}
}
