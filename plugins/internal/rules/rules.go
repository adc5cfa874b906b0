// Package rules is what plugins with a list of rules for keys of requests share: names, conditions, and what is said of a
// decision in dynamic metadata.
package rules

import (
	"errors"
	"fmt"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/expression"
)

const nameChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

var errName = errors.New("must be 1 to 64 letters, digits, hyphens, underscores and dots")

// CheckName says what is wrong with a rule's name, which stands in metrics and header fields.
func CheckName(name string) error {
	if name == "" || len(name) > 64 || strings.Trim(name, nameChars) != "" {
		return errName
	}
	return nil
}

// Check checks n rules: what each says of itself, with fields as the paths that errors begin with, and that names differ.
func Check(n int, rule func(i int) (name string, errs []error)) (errs []error) {
	names := map[string]bool{}
	for i := range n {
		name, own := rule(i)
		for _, err := range own {
			errs = append(errs, fmt.Errorf("rules[%d].%w", i, err))
		}
		if names[name] {
			errs = append(errs, fmt.Errorf("rules[%d].name: duplicate name %q", i, name))
		}
		names[name] = true
	}
	return errs
}

// Condition is the expression by which a rule is for some requests only; the zero one is for all.
type Condition struct {
	program expression.Program
	rule    string
}

// NewCondition compiles the expression when, of CEL and of type bool, of the rule of a name; "" is for all requests.
func NewCondition(rule, when string, metadata []authz.Metadata) (c Condition, err error) {
	if when == "" {
		return c, nil
	}
	c.rule = rule
	c.program, err = expression.Compile(when, expression.Bool, expression.Options{Metadata: metadata})
	return c, err
}

// Of reports whether the rule is for a request.
func (c *Condition) Of(q *authz.Request) (bool, error) {
	if c.program == nil {
		return true, nil
	}
	copied := *q // what an expression is given escapes
	v, err := c.program.Evaluate(&copied)
	if err != nil {
		return false, fmt.Errorf("when of the rule %s: %w", c.rule, err)
	}
	return v.Bool, nil
}

// Note tells other filters and access logs of decisions, in the dynamic metadata of a plugin's namespace. The zero Note
// tells nobody.
type Note struct {
	namespace string
	shadow    bool
}

// NewNote returns a Note for a plugin, which decides nothing if shadow is true. A host that has no metadata makes it one
// that tells nobody.
func NewNote(env *filter.Env, shadow bool) Note {
	if !env.Has(filter.CanSetMetadata) {
		return Note{}
	}
	return Note{"moe." + env.ID, shadow}
}

// Set sets the metadata of a request that is not just allowed: what was decided, and by which rule, if by one. Where
// the host fails to set it, the request goes on.
func (n Note) Set(s filter.Stream, decision, rule string) {
	if n.namespace == "" {
		return
	}
	_ = s.SetMetadata(n.namespace, "decision", decision)
	if rule != "" {
		_ = s.SetMetadata(n.namespace, "rule", rule)
	}
	if n.shadow {
		_ = s.SetMetadata(n.namespace, "shadow", true)
	}
}
