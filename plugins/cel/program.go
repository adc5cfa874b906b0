package cel

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/expression"
)

func init() { expression.Register(forOthers) }

// program is an expression that is compiled.
type program struct {
	cel.Program
	source *ast.SourceInfo
	limit  uint64 // of the cost
}

// compile compiles an expression of type want. An evaluation may cost limit.
func compile(text string, want *cel.Type, limit uint64) (*program, error) {
	env, err := environment()
	if err != nil {
		return nil, err
	}
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		var all []string
		for _, e := range issues.Errors() {
			all = append(all, fmt.Sprintf("line %d, column %d: %s", e.Location.Line(), e.Location.Column()+1, e.Message))
		}
		return nil, errors.New(strings.Join(all, "; "))
	}
	if t := checked.OutputType(); !t.IsExactType(want) {
		return nil, fmt.Errorf("the expression must be a %v, and is of type %v", want, t)
	}
	p := &program{source: checked.NativeRep().SourceInfo(), limit: limit}
	p.Program, err = env.Program(checked, cel.CostLimit(limit), cel.EvalOptions(cel.OptOptimize),
		cel.OptimizeRegex(interpreter.MatchesRegexOptimization))
	return p, err
}

func (p *program) eval(v *variables) (ref.Val, error) {
	out, _, err := p.Eval(v)
	if err != nil {
		return nil, p.explain(err)
	}
	return out, nil
}

// explain says where an evaluation has failed, and why if that can be said without a value in it.
func (p *program) explain(err error) error {
	var cancelled interpreter.EvalCancelledError
	if errors.As(err, &cancelled) {
		return fmt.Errorf("the expression costs more than costLimit, %d", p.limit)
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

// borrowed is an expression of another plugin.
type borrowed struct {
	*program
	names []authz.Metadata
	mode  authz.Mode
}

func forOthers(text string, t expression.Type, o expression.Options) (expression.Program, error) {
	p, err := compile(text, map[expression.Type]*cel.Type{
		expression.Bool: types.BoolType, expression.Int: types.IntType, expression.Text: types.StringType,
	}[t], o.CostLimit)
	if err != nil {
		return nil, err
	}
	return &borrowed{program: p, names: o.Metadata}, nil
}

// Evaluate is that of expression.Program.
func (p *borrowed) Evaluate(r *authz.Request) (v expression.Value, err error) {
	out, err := p.eval(&variables{r: r, mode: &p.mode, names: p.names})
	switch out := out.(type) {
	case types.Bool:
		v.Bool = bool(out)
	case types.Int:
		v.Int = int64(out)
	case types.String:
		v.Text = string(out)
	}
	return v, err
}
