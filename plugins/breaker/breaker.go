// Package breaker keeps requests from an upstream that fails, until it answers again.
package breaker

import (
	"context"
	"embed"
	"errors"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/keytable"
	"mosn.io/moe/plugins/internal/rules"
)

// Breaker refuses requests while too many of those before them have failed or were slow: it is a circuit breaker for each
// key.
type Breaker struct {
	// Rules say when a circuit opens. A request passes if none of its circuits is open.
	Rules []Rule `json:"rules" validate:"min=1,max=8"`
	// MaxKeys is about how many keys are remembered, by each rule, while none of their requests is in flight.
	MaxKeys int `json:"maxKeys" default:"10000" validate:"min=64,max=1000000"`
	// Shadow refuses nothing, and only counts and notes in metadata what would be refused: a dry run.
	Shadow bool `json:"shadow"`
	// FailOpen lets requests pass whose key cannot be found out.
	FailOpen bool `json:"failOpen"`
	// Status is that of the reply to a request whose circuit is open.
	Status int `json:"status" default:"503" validate:"min=400,max=599"`
	// Body is the text of this reply.
	Body string `json:"body" default:"the upstream fails at present"`
	// ErrorStatus is the status of the reply to a request whose key cannot be found out.
	ErrorStatus int `json:"errorStatus" default:"503" validate:"min=400,max=599"`
	// Metadata lists the values of dynamic metadata that expressions may use.
	Metadata []authz.Metadata `json:"metadata"`

	mode   authz.Mode // warns about addresses that clients choose
	path   authz.Path
	seeds  keytable.Seeds
	failed filter.Action
	note   rules.Note
	counts counts
}

type counts struct {
	allowed, failed               *filter.Counter
	refused, shadowed, errs, slow *filter.Tagged[*filter.Counter]
	opened, closed, probed        *filter.Tagged[*filter.Counter]
	open                          *filter.Tagged[*filter.Gauge]
	keys                          *filter.Gauge
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.RegisterPerStream("breaker", filter.Traffic, (*Breaker).newStream, filter.Docs(docs))
}

// Validate checks the rules and compiles their expressions.
func (p *Breaker) Validate() error {
	errs := rules.Check(len(p.Rules), func(i int) (string, []error) { return p.Rules[i].Name, p.Rules[i].validate(p.Metadata) })
	return errors.Join(errs...)
}

// Provision begins to count.
func (p *Breaker) Provision(env *filter.Env) error {
	p.mode.StartAddress(env)
	p.path = authz.Path{Mode: "normalize"}
	p.seeds = keytable.NewSeeds()
	p.note = rules.NewNote(env, p.Shadow)
	rule := env.Tag("rule")
	p.counts = counts{
		allowed: env.Counter("allowed"), failed: env.Counter("failed"), keys: env.Gauge("keys"),
		refused: rule.Counter("refused"), shadowed: rule.Counter("shadow_refused"), errs: rule.Counter("errors"),
		slow: rule.Counter("slow"), opened: rule.Counter("opened"), closed: rule.Counter("closed"),
		probed: rule.Counter("probes"), open: rule.Gauge("open"),
	}
	p.failed = filter.Reply(p.ErrorStatus, "the state of the upstream is not known", filter.WithDetails("moe."+env.Plugin+".error"))
	for i := range p.Rules {
		r := &p.Rules[i]
		r.Key.Start()
		r.start(p, env.Log())
	}
	env.Go(p.sweep)
	return nil
}

// sweepEvery is how often memory of keys is given back.
const sweepEvery = 10 * time.Second

func (p *Breaker) sweep(ctx context.Context) {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	before := 0
	for {
		select {
		case <-ctx.Done():
			p.counts.keys.Add(int64(-before))
			return
		case <-t.C:
		}
		keys := 0
		for i := range p.Rules {
			r := &p.Rules[i]
			keys += r.table.Sweep(2 * (r.Window + r.Open)) // by then what it knows means nothing
		}
		p.counts.keys.Add(int64(keys - before))
		before = keys
	}
}
