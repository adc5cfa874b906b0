package waf

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/experimental"
	"github.com/corazawaf/coraza/v3/experimental/plugins"
	"github.com/corazawaf/coraza/v3/experimental/plugins/plugintypes"
	"github.com/corazawaf/coraza/v3/types"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/guard"
	"mosn.io/moe/plugins/internal/reload"
)

// Operators that leave the process are refused wherever rules come from: one runs programs, the other asks name servers,
// and both make requests wait for it.
func init() {
	for name, why := range map[string]string{"inspectFile": "runs programs", "rbl": "asks name servers"} {
		plugins.RegisterOperator(name, func(plugintypes.OperatorOptions) (plugintypes.Operator, error) {
			return nil, fmt.Errorf("the operator @%s is refused, as it %s", name, why)
		})
	}
}

// program is what is compiled: directives in their order, then rule files, then exclusions.
type program struct {
	directives []string
	exclusions []Exclusion
}

// engine is compiled rules.
type engine struct {
	coraza.WAF
	rules int
}

// Close forgets the expressions that no other engine uses.
func (e *engine) Close() error {
	if c, ok := e.WAF.(experimental.WAFCloser); ok {
		return c.Close()
	}
	return nil
}

// begin starts a transaction with the request's id; where that is empty, the engine makes one.
func (e *engine) begin(id string) types.Transaction {
	if id == "" {
		return e.NewTransaction()
	}
	return e.NewTransactionWithID(id)
}

// engines are those in use, by the digest of all that they were compiled of.
var engines filter.Shared[[sha256.Size]byte, *engine]

// lease is one use of an engine. A nil one is of none.
type lease struct {
	*engine
	give func() error
}

func (l *lease) release() error {
	if l == nil {
		return nil
	}
	return l.give()
}

// acquire returns the engine for a program and files, which is compiled unless there is one.
func acquire(g *program, files []reload.File) (*lease, error) {
	text, err := json.Marshal([]any{g.directives, g.exclusions, files})
	if err != nil {
		return nil, err
	}
	e, release, err := engines.Acquire(sha256.Sum256(text), func() (e *engine, err error) {
		err = guard.Do(func() error {
			e, err = compile(g, files)
			return err
		})
		return e, err
	})
	if err != nil {
		return nil, err
	}
	return &lease{e, release}, nil
}

// compiling is held while an engine is made, so that the expressions of one are there for the next.
var compiling sync.Mutex

func compile(g *program, files []reload.File) (*engine, error) {
	compiling.Lock()
	defer compiling.Unlock()
	root, includes, err := newTree(files)
	if err != nil {
		return nil, err
	}
	first, err := base()
	if err != nil {
		return nil, err
	}
	var rules []types.RuleMetadata
	c := coraza.NewWAFConfig().WithRootFS(root).WithDirectives(first)
	c = experimental.WAFConfigWithRuleObserver(c, func(r types.RuleMetadata) { rules = append(rules, r) })
	for _, d := range slices.Concat(g.directives, []string{includes}) {
		if d != "" {
			c = c.WithDirectives(d)
		}
	}
	for i := range g.exclusions {
		c = c.WithDirectives(g.exclusions[i].directives())
	}
	waf, err := coraza.NewWAF(c)
	if err != nil {
		return nil, fmt.Errorf("compiling the rules: %w", err)
	}
	e := &engine{WAF: waf, rules: len(rules)}
	var errs []error
	for i := range g.exclusions {
		if err := g.exclusions[i].names(rules); err != nil {
			errs = append(errs, fmt.Errorf("exclusions[%d].%w", i, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}
