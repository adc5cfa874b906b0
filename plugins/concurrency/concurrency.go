// Package concurrency limits how many requests are in flight at a time.
package concurrency

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/keytable"
	"mosn.io/moe/plugins/internal/rules"
)

// Concurrency has requests wait, or refuses them, when as many are in flight as its rules allow.
type Concurrency struct {
	// Rules are the limits. A request has to be within all of them.
	Rules []Rule `json:"rules" validate:"min=1,max=8"` // maxRules
	// MaxKeys is how many keys with an adaptive limit are remembered while no request of theirs is in flight.
	MaxKeys int `json:"maxKeys" default:"1000" validate:"min=1,max=1000000"`
	// Shadow refuses nothing and has nothing wait, and only counts and notes in metadata what would be refused: a dry run.
	Shadow bool `json:"shadow"`
	// FailOpen lets requests pass whose key or priority cannot be found out.
	FailOpen bool `json:"failOpen"`
	// Status is that of the reply to a request that finds no room.
	Status int `json:"status" default:"503" validate:"min=400,max=599"`
	// Body is the text of this reply.
	Body string `json:"body" default:"too many requests in flight"`
	// RetryAfter is what this reply says in retry-after, in whole seconds; 0s leaves the field out.
	RetryAfter time.Duration `json:"retryAfter" default:"1s"`
	// ErrorStatus is the status of the reply to a request whose key or priority cannot be found out.
	ErrorStatus int `json:"errorStatus" default:"503" validate:"min=400,max=599"`
	// Metadata lists the values of dynamic metadata that expressions may use.
	Metadata []authz.Metadata `json:"metadata"`

	mode            authz.Mode // warns about addresses that clients choose
	path            authz.Path
	seeds           keytable.Seeds
	refused, failed filter.Action
	note            rules.Note
	counts          counts
}

type counts struct {
	allowed, queued, failed *filter.Counter
	limited, shadowed       *filter.Tagged[*filter.Counter]
	inFlight, waiting       *filter.Gauge
	limit                   *filter.Tagged[*filter.Gauge]
	waited                  *filter.Histogram
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.RegisterPerStream("concurrency", filter.Traffic, (*Concurrency).newStream, filter.Docs(docs))
}

// Validate checks the rules and compiles their expressions.
func (p *Concurrency) Validate() error {
	errs := rules.Check(len(p.Rules), func(i int) (string, []error) { return p.Rules[i].Name, p.Rules[i].validate(p.Metadata) })
	if p.RetryAfter < 0 || p.RetryAfter > time.Hour {
		errs = append(errs, errors.New("retryAfter: must be 0s to 1h"))
	}
	return errors.Join(errs...)
}

// Provision begins to count.
func (p *Concurrency) Provision(env *filter.Env) error {
	p.mode.StartAddress(env)
	p.path = authz.Path{Mode: "normalize"}
	p.seeds = keytable.NewSeeds()
	p.note = rules.NewNote(env, p.Shadow)
	p.counts = counts{
		allowed: env.Counter("allowed"), queued: env.Counter("queued"), failed: env.Counter("failed"),
		limited: env.Tag("rule").Counter("limited"), shadowed: env.Tag("rule").Counter("shadow_limited"),
		inFlight: env.Gauge("in_flight"), waiting: env.Gauge("waiting"), limit: env.Tag("rule").Gauge("limit"),
		waited: env.Histogram("wait_ms"),
	}
	details := "moe." + env.Plugin
	options := []filter.ReplyOption{filter.WithDetails(details + ".limited"), filter.WithGRPCStatus(unavailable)}
	if p.RetryAfter > 0 {
		seconds := (p.RetryAfter + time.Second - 1) / time.Second
		options = append(options, filter.WithHeader("retry-after", fmt.Sprint(int64(seconds))))
	}
	p.refused = filter.Reply(p.Status, p.Body, options...)
	p.failed = filter.Reply(p.ErrorStatus, "the limit is not known", filter.WithDetails(details+".error"))
	sweeps := false
	for i := range p.Rules {
		r := &p.Rules[i]
		r.Key.Start()
		o := keytable.Options[*limiter]{New: func() *limiter { return p.newLimiter(r) }}
		if r.Adaptive != nil { // what it has learned stays; a fixed limit has nothing to keep
			sweeps = true
			o.Idle, o.Forgotten = p.MaxKeys, func(l *limiter) { p.counts.limit.With(r.Name).Add(-int64(l.adaptive.Limit())) }
		}
		r.table = keytable.New(o)
	}
	if sweeps {
		env.Go(p.sweep)
	}
	return nil
}

const unavailable = 14 // of gRPC

// sweepEvery is how often keys with an adaptive limit are forgotten that were not used for that long.
const sweepEvery = time.Minute

func (p *Concurrency) sweep(ctx context.Context) {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		for i := range p.Rules {
			p.Rules[i].table.Sweep(sweepEvery)
		}
	}
}
