// Package authn is what the plugins that recognise callers by a shared secret have in common: what becomes of a request
// whose credential is missing or wrong.
package authn

import (
	"errors"
	"strings"

	"mosn.io/moe/framework/filter"
)

// CheckRealm says what is wrong with a realm of www-authenticate.
func CheckRealm(realm string) error {
	if strings.ContainsAny(realm, "\"\\\r\n\x00") {
		return errors.New("realm: must not have quotes, backslashes or line breaks")
	}
	return nil
}

// Refusals are a plugin's replies to requests that it does not let pass, with their counters.
type Refusals struct {
	challenge string
	plugin    string
	missing   filter.Action
	counts    struct{ missing, allowed *filter.Counter }
	invalid   *filter.Tagged[*filter.Counter]
}

// Start makes the replies. challenge is the value of www-authenticate. Call it in Provision.
func (r *Refusals) Start(env *filter.Env, challenge string) {
	r.challenge, r.plugin = challenge, env.Plugin
	r.counts.missing, r.counts.allowed = env.Counter("missing"), env.Counter("allowed")
	r.invalid = env.Tag("reason").Counter("invalid")
	r.missing = filter.Unauthenticated(r.reply("missing"))
}

func (r *Refusals) reply(reason string) filter.Action {
	return filter.Reply(401, "unauthorized", filter.WithHeader("www-authenticate", r.challenge),
		filter.WithDetails("moe."+r.plugin+"."+reason))
}

// Missing is the action for a request without a credential.
func (r *Refusals) Missing() filter.Action {
	r.counts.missing.Inc()
	return r.missing
}

// Wrong is why a credential is refused. Declare each as a package variable.
type Wrong struct {
	// Reason is a word: the value of the counter's tag, and the end of the response code details.
	Reason string
	// Text is for the log.
	Text string
	// Status is that of the reply, 401 if it is 0.
	Status int
}

// Error returns Text.
func (w *Wrong) Error() string { return w.Text }

// Refuse is the action for a request whose credential is wrong. who is the name that it claims, for the log; it must be
// no secret.
func (r *Refusals) Refuse(s filter.Stream, w *Wrong, who string) filter.Action {
	r.invalid.With(w.Reason).Inc()
	attrs := []any{"reason", w.Text}
	if who != "" {
		attrs = append(attrs, "claims", cut(who))
	}
	s.Log().Info("unauthorized", attrs...)
	if w.Status != 0 {
		return filter.Reply(w.Status, "unauthorized", filter.WithDetails("moe."+r.plugin+"."+w.Reason))
	}
	return r.reply(w.Reason)
}

// Allow lets the request of a consumer pass.
func (r *Refusals) Allow(s filter.Stream, c *filter.Consumer) filter.Action {
	r.counts.allowed.Inc()
	s.SetConsumer(c)
	return filter.Continue
}

// cut keeps what a client may choose from filling the log.
func cut(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
