// Package bearer has what plugins that take bearer tokens (RFC 6750) answer to requests without a good one.
package bearer

import (
	"cmp"
	"fmt"
	"strings"

	"mosn.io/moe/framework/filter"
)

// MaxToken is how many bytes a token may have.
const MaxToken = 32 << 10

// WellFormed reports whether a token consists of what RFC 6750, section 2.1, allows in one, and is not too long. Among what it does not allow is
// the comma by which Envoy joins two fields authorization to one.
func WellFormed(token string) bool {
	for i := range len(token) {
		c := token[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && strings.IndexByte("-._~+/=", c) < 0 {
			return false
		}
	}
	return token != "" && len(token) <= MaxToken
}

// Reason is why a request does not pass.
type Reason struct {
	// Name is that in metrics, logs and response code details.
	Name string
	// Status is that of the reply.
	Status int
	// Code is that of RFC 6750, section 3.1; "" where a request has no token at all.
	Code string
	// Text is for the client.
	Text string
	// Scheme is that of www-authenticate, Bearer if it is empty, and Params are what that scheme has besides.
	Scheme, Params string
}

// Reasons are a plugin's. Add them as package variables.
type Reasons []*Reason

// New adds a reason of the scheme Bearer.
func (l *Reasons) New(name string, status int, code, text string) *Reason {
	return l.Add(Reason{Name: name, Status: status, Code: code, Text: text})
}

// Add adds a reason.
func (l *Reasons) Add(r Reason) *Reason {
	*l = append(*l, &r)
	return &r
}

// Bad adds a reason to answer 401 with invalid_token.
func (l *Reasons) Bad(name, text string) *Reason { return l.New(name, 401, "invalid_token", text) }

// Refusals are a plugin's replies to requests that it does not let pass, with their counter.
type Refusals struct {
	// Also is another challenge for requests that have no token, set before Start; "" is none.
	Also    string
	replies map[*Reason]filter.Action
	missing *Reason
	refused *filter.Tagged[*filter.Counter]
}

// Start makes the replies, which depend on nothing but the configuration, and declares the counter refused. missing is the
// reason that lets other plugins try. Call it in Provision.
func (r *Refusals) Start(env *filter.Env, realm string, missing *Reason, all Reasons) {
	r.missing, r.refused = missing, env.Tag("reason").Counter("refused")
	r.replies = make(map[*Reason]filter.Action, len(all))
	for _, why := range all {
		opts := []filter.ReplyOption{filter.WithDetails("moe." + env.Plugin + "." + why.Name)}
		switch challenge := fmt.Sprintf("%s realm=%q%s", cmp.Or(why.Scheme, "Bearer"), realm, why.Params); {
		case why.Code != "":
			challenge += fmt.Sprintf(", error=%q, error_description=%q", why.Code, why.Text)
			opts = append(opts, filter.WithHeader("www-authenticate", challenge))
		case why.Status == 401:
			opts = append(opts, filter.WithHeader("www-authenticate", challenge))
		}
		if why == missing && r.Also != "" {
			opts = append(opts, filter.WithHeader("www-authenticate", r.Also))
		}
		r.replies[why] = filter.Reply(why.Status, why.Text, opts...)
	}
	r.replies[missing] = filter.Unauthenticated(r.replies[missing])
}

// Refuse counts, logs and answers. Nothing of the token is logged but what it is wrong with.
func (r *Refusals) Refuse(s filter.Stream, why *Reason) filter.Action {
	r.refused.With(why.Name).Inc()
	if why != r.missing {
		s.Log().Info("refused a token", "reason", why.Name)
	}
	return r.replies[why]
}
