// Package ratelimit limits how many requests pass in a time.
package ratelimit

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"hash/maphash"
	"sync/atomic"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/rules"
	"mosn.io/moe/plugins/internal/store"
)

// RateLimit refuses requests that are more than its rules allow.
type RateLimit struct {
	// Rules are the limits. A request has to be within all of them; one that is refused counts for none.
	Rules []Rule `json:"rules" validate:"min=1,max=8"` // maxRules
	// MaxKeys is about how many keys are remembered, for all rules together.
	MaxKeys int `json:"maxKeys" default:"100000" validate:"min=16,max=10000000"`
	// MaxDelayed is how many requests may be held back at a time.
	MaxDelayed int64 `json:"maxDelayed" default:"1000" validate:"min=0,max=1000000"`
	// Headers says which responses have RateLimit and RateLimit-Policy fields: all, refusals, or none.
	Headers string `json:"headers" default:"all" enum:"all,refusals,none"`
	// Shadow refuses and delays nothing, and only counts and notes in metadata what would be refused: a dry run.
	Shadow bool `json:"shadow"`
	// FailOpen lets requests pass whose key or cost cannot be found out.
	FailOpen bool `json:"failOpen"`
	// Status is that of the reply to a request that is over a limit.
	Status int `json:"status" default:"429" validate:"min=400,max=599"`
	// Body is the text of this reply.
	Body string `json:"body" default:"too many requests"`
	// ErrorStatus is the status of the reply to a request whose key or cost cannot be found out.
	ErrorStatus int `json:"errorStatus" default:"503" validate:"min=400,max=599"`
	// Metadata lists the values of dynamic metadata that expressions may use.
	Metadata []authz.Metadata `json:"metadata"`
	// Redis has counts kept there, so that several Envoys share them. Without it, each has its own.
	Redis *Shared `json:"redis"`

	mode    authz.Mode // warns about addresses that clients choose
	path    authz.Path
	reads   bool // a rule reads the path
	table   *table
	seeds   [2]maphash.Seed
	now     func() int64
	delayed atomic.Int64
	policy  string // the value of ratelimit-policy
	failed  filter.Action
	note    rules.Note
	counts  counts
}

type counts struct {
	allowed, delayed, failed, evicted *filter.Counter
	limited, shadowed                 *filter.Tagged[*filter.Counter]
	keys                              *filter.Gauge
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.RegisterPerStream("ratelimit", filter.Traffic, (*RateLimit).newStream, filter.Docs(docs))
}

// Validate checks the rules and compiles their expressions.
func (p *RateLimit) Validate() error {
	errs := rules.Check(len(p.Rules), func(i int) (string, []error) { return p.Rules[i].Name, p.Rules[i].validate(p.Metadata) })
	if p.Redis != nil {
		errs = append(errs, store.InField("redis", p.Redis.Validate())...)
	}
	return errors.Join(errs...)
}

// sweepEvery is how often memory of forgotten keys is given back.
const sweepEvery = 10 * time.Second

// Provision begins to count.
func (p *RateLimit) Provision(env *filter.Env) error {
	for i := range p.Rules {
		r := &p.Rules[i]
		r.start(env.ID)
		r.Key.Start()
		p.reads = p.reads || r.cost != nil || r.When != "" || r.Key.ReadsPath()
	}
	p.mode.StartAddress(env)
	p.path = authz.Path{Mode: "normalize"}
	p.table = newTable(p.MaxKeys)
	p.seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	if p.now == nil {
		p.now = monotonic
	}
	p.policy = policyOf(p.Rules)
	p.failed = filter.Reply(p.ErrorStatus, "the limit is not known",
		filter.WithDetails("moe."+env.Plugin+".error"))
	p.note = rules.NewNote(env, p.Shadow)
	p.counts = counts{
		allowed: env.Counter("allowed"), delayed: env.Counter("delayed"), failed: env.Counter("failed"),
		evicted: env.Counter("evicted"), limited: env.Tag("rule").Counter("limited"),
		shadowed: env.Tag("rule").Counter("shadow_limited"), keys: env.Gauge("keys"),
	}
	env.Go(p.sweep)
	if p.Redis != nil {
		if err := p.Redis.start(env, p.MaxKeys); err != nil {
			return fmt.Errorf("redis: %w", err)
		}
	}
	return nil
}

// SkipsPhase is that of filter.PhaseSkipper: a response that is not to have the fields needs nothing.
func (p *RateLimit) SkipsPhase(method string) bool {
	return method == "OnResponseHeaders" && p.Headers != "all"
}

// Close ends the connections.
func (p *RateLimit) Close() error {
	if p.Redis == nil || p.Redis.client == nil {
		return nil
	}
	return p.Redis.client.Close()
}

var began = time.Now()

// monotonic returns the time in nanoseconds, of a clock that nobody sets. It is more than 0.
func monotonic() int64 { return int64(time.Since(began)) + 1 }

func (p *RateLimit) sweep(ctx context.Context) {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	var keys int
	for {
		select {
		case <-ctx.Done():
			p.counts.keys.Add(int64(-keys))
			return
		case <-t.C:
		}
		before := keys
		keys = 0
		for i := range p.table.shards {
			keys += p.table.shards[i].sweep(p.now())
		}
		if p.Redis != nil {
			p.Redis.sweep(p.now())
		}
		p.counts.keys.Add(int64(keys - before))
	}
}

// hash returns the place of a key in the table.
func (p *RateLimit) hash(key []byte) [2]uint64 {
	return [2]uint64{maphash.Bytes(p.seeds[0], key), maphash.Bytes(p.seeds[1], key)}
}
