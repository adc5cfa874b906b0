// Package replay refuses requests that were sent before.
package replay

import (
	"embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/fieldname"
	"mosn.io/moe/plugins/internal/match"
	"mosn.io/moe/plugins/internal/nonces"
)

// Replay denies requests whose nonce, a value that a client uses once only, was there before.
type Replay struct {
	match.Match
	// Header is the header with the nonce.
	Header string `json:"header" default:"x-nonce"`
	// MinLength and MaxLength are how long a nonce may be.
	MinLength int `json:"minLength" default:"16" validate:"min=1,max=1024"`
	MaxLength int `json:"maxLength" default:"128" validate:"min=1,max=1024"`
	// Optional lets requests pass that have neither a nonce nor a timestamp.
	Optional bool `json:"optional"`
	// Timestamp has requests say when they were made, so that old ones are refused when their nonce is forgotten.
	Timestamp *Timestamp `json:"timestamp"`
	// Keep is how long nonces are remembered, without timestamp. With it that follows from its window.
	Keep time.Duration `json:"keep" default:"10m"`
	// Scope is consumer, whose nonces are consumers' own, or all.
	Scope string `json:"scope" default:"consumer" enum:"consumer,all"`
	// MaxNonces is how many nonces are remembered here. When there are as many, requests are refused with 503.
	MaxNonces int `json:"maxNonces" default:"100000" validate:"min=1,max=10000000"`
	// Status is that of the reply to a request that was there before.
	Status int `json:"status" default:"409" validate:"min=400,max=599"`
	// Redis has nonces remembered there, so that several Envoys share them.
	Redis *Shared `json:"redis"`
	authz.Mode

	path   authz.Path
	id     string
	memory *nonces.Memory
	now    func() time.Time
	counts counts
	no     replies
}

// Timestamp says when a request was made.
type Timestamp struct {
	// Header is the header with the time.
	Header string `json:"header" default:"x-timestamp"`
	// Format is unix (seconds since 1970), unixMilli, or rfc3339.
	Format string `json:"format" default:"unix" enum:"unix,unixMilli,rfc3339"`
	// Window is how far the time may be from that of this machine, in the past and in the future.
	Window time.Duration `json:"window" default:"5m"`
}

type counts struct{ replayed, stale, malformed, full, redisFailed *filter.Counter }

type replies struct{ replayed, stale, malformed, missing, full filter.Action }

//go:embed README.md schema.json
var docs embed.FS

func init() { filter.Register[Replay]("replay", filter.Authz, filter.Docs(docs)) }

const (
	shortest = time.Second
	longest  = 30 * 24 * time.Hour
)

// Validate checks names and times.
func (p *Replay) Validate() error {
	errs := []error{p.Match.Validate()}
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if err := fieldname.Check(p.Header); err != nil {
		bad("header: %w", err)
	}
	if p.MinLength > p.MaxLength {
		bad("minLength: must not be more than maxLength")
	}
	if p.Keep < shortest || p.Keep > longest {
		bad("keep: must be %v to %v", shortest, longest)
	}
	if t := p.Timestamp; t != nil {
		if err := fieldname.Check(t.Header); err != nil {
			bad("timestamp.header: %w", err)
		}
		if strings.EqualFold(t.Header, p.Header) {
			bad("timestamp.header: must not be header")
		}
		if t.Window < shortest || t.Window > longest/2 {
			bad("timestamp.window: must be %v to %v", shortest, longest/2)
		}
	}
	if p.Redis != nil {
		errs = append(errs, match.Within("redis", p.Redis.Validate()))
	}
	return errors.Join(errs...)
}

// Provision begins to remember.
func (p *Replay) Provision(env *filter.Env) error {
	p.Start(env)
	p.path, p.id = authz.Path{Mode: "normalize"}, env.ID
	if p.now == nil {
		p.now = time.Now
	}
	p.memory = nonces.New(p.MaxNonces, p.keep())
	p.counts = counts{
		replayed: env.Counter("replayed"), stale: env.Counter("stale"), malformed: env.Counter("malformed"),
		full: env.Counter("full"), redisFailed: env.Counter("redis_failed"),
	}
	reply := func(status int, text, detail string) filter.Action {
		return filter.Reply(status, text, filter.WithDetails("moe.replay."+detail))
	}
	p.no = replies{
		replayed: reply(p.Status, "the request was there before", "replayed"),
		stale:    reply(400, "the request is too old, or of the future", "stale"),
		missing:  reply(400, "a nonce is required", "missing"),
		full:     reply(503, "no more nonces can be remembered", "full"),
	}
	p.no.malformed = reply(400, "the nonce or the timestamp is malformed", "malformed")
	if p.Redis != nil {
		if err := p.Redis.start(); err != nil {
			return fmt.Errorf("redis: %w", err)
		}
	}
	return nil
}

// keep returns how long a nonce has to be remembered: with a timestamp, from when a request of the furthest future comes
// until it is of the past.
func (p *Replay) keep() time.Duration {
	if p.Timestamp != nil {
		return 2*p.Timestamp.Window + time.Second
	}
	return p.Keep
}

// Close ends the connections.
func (p *Replay) Close() error {
	if p.Redis == nil || p.Redis.client == nil {
		return nil
	}
	return p.Redis.client.Close()
}
