// Package authz is what the plugins of the stage authz have in common: the request as their rules see it, and what
// becomes of what they decide.
package authz

import (
	"context"
	"errors"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/guard"
)

// Mode is what each of the plugins has in its configuration besides its rules.
type Mode struct {
	// Shadow lets every request pass, and only logs, counts and notes in metadata what would have been decided.
	Shadow bool `json:"shadow"`
	// FailOpen lets requests pass for which an error prevents a decision.
	FailOpen bool `json:"failOpen"`
	// ErrorStatus is the status of the reply to a request for which an error prevents a decision.
	ErrorStatus int `json:"errorStatus" default:"403" validate:"min=400,max=599"`

	denied, failed, ambiguous filter.Action
	counts                    counts
	namespace                 string
	metadata                  bool
	address                   *addressCheck
}

// Common is Mode with the reply to who is denied.
type Common struct {
	Mode
	// Status is that of the reply to a request that is denied.
	Status int `json:"status" default:"403" validate:"min=400,max=599"`
	// Body is the text of this reply.
	Body string `json:"body" default:"access denied"`
}

type counts struct{ allowed, denied, failed, shadowed *filter.Counter }

// Start declares the counters. Call it in Provision.
func (c *Common) Start(env *filter.Env) {
	c.Mode.Start(env)
	c.denied = filter.Reply(c.Status, c.Body, filter.WithDetails("moe."+env.Plugin+".denied"))
}

// Start declares the counters. Call it in Provision.
func (c *Mode) Start(env *filter.Env) {
	name := "moe." + env.Plugin
	c.denied = filter.Reply(403, "access denied", filter.WithDetails(name+".denied"))
	c.failed = filter.Reply(c.ErrorStatus, "no decision about access", filter.WithDetails(name+".error"))
	c.ambiguous = filter.Reply(400, "ambiguous path", filter.WithDetails(name+".path"))
	c.namespace, c.metadata = "moe."+env.ID, env.Has(filter.CanSetMetadata)
	c.StartAddress(env)
	c.counts = counts{
		env.Counter("allowed"), env.Counter("denied"), env.Counter("failed"), env.Counter("shadow_denied"),
	}
}

// Verdict is what rules say of a request. The zero one denies it.
type Verdict struct {
	// Allowed is whether it may pass.
	Allowed bool
	// Err is why the rules could not decide. It is logged, so that it must not quote secrets.
	Err error
	// Reason, if there is one, goes to the log and to metadata. It must be the operator's words, not the client's.
	Reason string
	// Reply replaces the reply to a request that is denied.
	Reply *filter.Action
	// Apply, if there is one, changes the request when it passes because it is allowed.
	Apply func()
}

// Allow is the verdict that lets a request pass.
var Allow = Verdict{Allowed: true}

// Fail is the verdict of rules that could say nothing.
func Fail(err error) Verdict { return Verdict{Err: err} }

// Ask has f decide about r. A path that is ambiguous (err is that of [Path.Request]) is denied without asking, and a
// panic in f is an error like others.
func (c *Mode) Ask(r *Request, err error, f func() Verdict) filter.Action {
	if err != nil {
		return c.Conclude(r, Verdict{Reason: err.Error(), Reply: &c.ambiguous})
	}
	return c.Conclude(r, safely(r, f))
}

// AskLater is Ask for rules that take long or wait: f runs on a goroutine.
func (c *Mode) AskLater(r *Request, err error, f func(ctx context.Context) Verdict) filter.Action {
	if err != nil {
		return c.Ask(r, err, nil)
	}
	return filter.Go(func(ctx context.Context) filter.Action {
		v := safely(r, func() Verdict { return f(ctx) })
		if ctx.Err() != nil && v.Err != nil && errors.Is(context.Cause(ctx), filter.ErrStreamDone) {
			return filter.Continue // the stream is gone
		}
		return c.Conclude(r, v)
	})
}

// safely is f with a panic as an error.
func safely(r *Request, f func() Verdict) (v Verdict) {
	err := guard.Do(func() error {
		v = f()
		return nil
	})
	var p *guard.Panic
	if errors.As(err, &p) {
		r.Stream.Log().Error("panic", "value", p.Value, "stack", p.Stack)
		return Fail(errors.New("the rules panic"))
	}
	return v
}

// Conclude counts, notes and carries out a verdict.
func (c *Mode) Conclude(r *Request, v Verdict) filter.Action {
	reply := &c.denied
	switch {
	case v.Err != nil:
		c.counts.failed.Inc()
		c.note(r, "error", v)
		r.Stream.Log().Warn("no decision", c.about(r, v, "error", v.Err.Error())...)
		if c.FailOpen {
			return filter.Continue
		}
		reply = &c.failed
	case v.Allowed:
		c.counts.allowed.Inc()
		c.note(r, "allow", v)
		if v.Apply != nil && !c.Shadow {
			v.Apply()
		}
		return filter.Continue
	default:
		c.counts.denied.Inc()
		c.note(r, "deny", v)
		r.Stream.Log().Info("denied", c.about(r, v)...)
		if v.Reply != nil {
			reply = v.Reply
		}
	}
	if c.Shadow {
		c.counts.shadowed.Inc()
		return filter.Continue
	}
	return *reply
}

// note sets the metadata. A host that cannot set it does not make the request fail.
func (c *Mode) note(r *Request, decision any, v Verdict) {
	if !c.metadata {
		return
	}
	_ = r.Stream.SetMetadata(c.namespace, "decision", decision)
	if v.Reason != "" {
		_ = r.Stream.SetMetadata(c.namespace, "reason", v.Reason)
	}
	if c.Shadow {
		_ = r.Stream.SetMetadata(c.namespace, "shadow", true)
	}
}

// about is what the log tells of a request: no query, no header.
func (c *Mode) about(r *Request, v Verdict, more ...any) []any {
	args := append(make([]any, 0, 16), "method", short(r.Method()), "path", short(r.Path))
	if a := r.Source(); a.IsValid() {
		args = append(args, "source", a.Addr().String())
	}
	if name := r.Consumer().Name; name != "" {
		args = append(args, "consumer", name)
	}
	if v.Reason != "" {
		args = append(args, "reason", v.Reason)
	}
	if c.Shadow {
		args = append(args, "shadow", true)
	}
	return append(args, more...)
}

// short bounds what a client can have logged.
func short(s string) string {
	const most = 200
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
