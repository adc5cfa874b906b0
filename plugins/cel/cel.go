// Package cel lets requests pass for which an expression of the Common Expression Language is true.
package cel

import (
	"embed"
	"errors"
	"fmt"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/interpreter"

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

	program cel.Program
	source  *ast.SourceInfo
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
		"consumer.name": text, "consumer.groups": texts, "consumer.labels": labels,
		"consumer.attributes": cel.MapType(text, cel.DynType),
		"metadata":            cel.MapType(text, cel.MapType(text, cel.DynType)),
	} {
		options = append(options, cel.Variable(name, t))
	}
	return cel.NewEnv(options...)
})

// Validate compiles the expression and checks its types.
func (p *CEL) Validate() error {
	if err := p.compile(); err != nil {
		return fmt.Errorf("allowIf: %w", err)
	}
	return nil
}

func (p *CEL) compile() error {
	env, err := environment()
	if err != nil {
		return err
	}
	checked, issues := env.Compile(p.AllowIf)
	if issues.Err() != nil {
		var all []string
		for _, e := range issues.Errors() {
			all = append(all, fmt.Sprintf("line %d, column %d: %s", e.Location.Line(), e.Location.Column()+1, e.Message))
		}
		return errors.New(strings.Join(all, "; "))
	}
	if t := checked.OutputType(); !t.IsExactType(types.BoolType) {
		return fmt.Errorf("the expression must be a bool, and is of type %v", t)
	}
	p.source = checked.NativeRep().SourceInfo()
	p.program, err = env.Program(checked, cel.CostLimit(p.CostLimit), cel.EvalOptions(cel.OptOptimize),
		cel.OptimizeRegex(interpreter.MatchesRegexOptimization))
	return err
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
	out, _, err := p.program.Eval(&variables{r: r, mode: &p.Mode, names: p.Metadata})
	if err != nil {
		return authz.Fail(p.explain(err))
	}
	if out == types.True {
		return authz.Allow
	}
	return authz.Verdict{}
}

// explain says where an evaluation has failed, and why if that can be said without a value in it.
func (p *CEL) explain(err error) error {
	var cancelled interpreter.EvalCancelledError
	if errors.As(err, &cancelled) {
		return fmt.Errorf("the expression costs more than costLimit, %d", p.CostLimit)
	}
	why := "a value does not fit"
	for _, plain := range []string{"no such key", "no such overload", "divide by zero", "index out of bounds", "metadata"} {
		if strings.HasPrefix(err.Error(), plain) {
			why = plain
		}
	}
	if e := (*types.Err)(nil); errors.As(err, &e) {
		if at := p.source.GetStartLocation(e.NodeID()); at.Line() > 0 {
			return fmt.Errorf("line %d, column %d of the expression: %s", at.Line(), at.Column()+1, why)
		}
	}
	return fmt.Errorf("the expression: %s", why)
}
