// Package script runs JavaScript on requests and responses.
package script

import (
	"embed"
	"errors"
	"fmt"
	"time"

	"github.com/dop251/goja"

	"mosn.io/moe/framework/filter"
)

// Script runs JavaScript on requests and responses.
type Script struct {
	// Source is the script, in JavaScript. It declares onRequest(request), onResponse(response, request), or both.
	Source string `json:"source" validate:"required"`
	// RequestBody has request.body: requests are held back until the body is there.
	RequestBody bool `json:"requestBody"`
	// ResponseBody has response.body: responses are held back until the body is there.
	ResponseBody bool `json:"responseBody"`
	// MaxBody is how long a body may be that a script gets, or makes.
	MaxBody filter.Size `json:"maxBody" default:"1MiB"`
	// Budget is how long a call of a function may take.
	Budget time.Duration `json:"budget" default:"50ms"`
	// OnError says what becomes of a message whose script fails: it is answered with 500, or goes on.
	OnError string `json:"onError" default:"refuse" enum:"refuse,pass"`

	program    *goja.Program
	onRequest  bool // the script has this function
	onResponse bool
	failed     filter.Action
	details    filter.ReplyOption
	counts     counts
}

type counts struct {
	called, failed *filter.Tagged[*filter.Counter]
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.RegisterPerStream("script", filter.Transform, (*Script).newStream, filter.Docs(docs))
}

// Validate compiles the script, and runs what is outside of its functions once, to see which it has.
func (p *Script) Validate() error {
	if p.MaxBody < 1 || p.MaxBody > 1<<30 {
		return errors.New("maxBody: must be between 1 and 1GiB")
	}
	if p.Budget < time.Millisecond || p.Budget > maxBudget {
		return errors.New("budget: must be between 1ms and 1s")
	}
	program, err := goja.Compile("source", p.Source, true)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	p.program = program
	m, err := p.newMachine()
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	p.onRequest, p.onResponse = m.function("onRequest") != nil, m.function("onResponse") != nil
	if !p.onRequest && !p.onResponse {
		return errors.New("source: declare the function onRequest or onResponse")
	}
	return nil
}

// Provision declares the counters.
func (p *Script) Provision(env *filter.Env) error {
	p.details = filter.WithDetails("moe." + env.Plugin + ".reply")
	p.failed = filter.Reply(500, "the script fails", filter.WithDetails("moe."+env.Plugin+".error"))
	tag := env.Tag("direction")
	p.counts = counts{tag.Counter("called"), tag.Counter("failed")}
	return nil
}
