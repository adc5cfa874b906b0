// Package expression has plugins other than cel use expressions of the Common Expression Language, without linking the
// language in: the plugin cel brings it, where it is compiled in.
package expression

import (
	"errors"

	"mosn.io/moe/plugins/internal/authz"
)

// Type is what an expression evaluates to.
type Type int

// The types.
const (
	Bool Type = iota
	Int
	Text
)

// Value is what an expression has evaluated to: the field of its type.
type Value struct {
	Bool bool
	Int  int64
	Text string
}

// Program is an expression that is compiled. Its methods may be called from any goroutine.
type Program interface {
	// Evaluate evaluates it for a request. The error says where in the expression it failed, and quotes no value.
	Evaluate(r *authz.Request) (Value, error)
}

// Options are what an expression may use beside the request, and what it may cost.
type Options struct {
	// Metadata lists the values of dynamic metadata that the expression may use.
	Metadata []authz.Metadata
	// CostLimit bounds what one evaluation may cost, in CEL's units; 0: 20,000.
	CostLimit uint64
}

var compiler func(text string, t Type, o Options) (Program, error)

// Register has Compile use f. It is called in an init function.
func Register(f func(text string, t Type, o Options) (Program, error)) { compiler = f }

// Compile compiles an expression and checks that it is of type t.
func Compile(text string, t Type, o Options) (Program, error) {
	if compiler == nil {
		return nil, errors.New("expressions need the plugin cel, which is not compiled in")
	}
	if o.CostLimit == 0 {
		o.CostLimit = 20_000
	}
	return compiler(text, t, o)
}
