package jwtauth

import (
	"fmt"

	"mosn.io/moe/framework/filter"
)

// reason is why a request does not pass.
type reason struct {
	name   string // in metrics, logs and response code details
	status int
	code   string // of RFC 6750, section 3.1; "" where a request has no token at all
	text   string // for the client
}

// everyReason lists the reasons below.
var everyReason []*reason

func newReason(name string, status int, code, text string) *reason {
	r := &reason{name: name, status: status, code: code, text: text}
	everyReason = append(everyReason, r)
	return r
}

// badToken is a reason to answer 401 with invalid_token.
func badToken(name, text string) *reason { return newReason(name, 401, "invalid_token", text) }

var (
	missing     = newReason("missing", 401, "", "missing token")
	several     = newReason("several", 400, "invalid_request", "more than one token")
	notAllowed  = newReason("claims", 403, "insufficient_scope", "the token does not allow this")
	noKeys      = newReason("no_keys", 503, "", "the keys are not available")
	malformed   = badToken("malformed", "malformed token")
	badKey      = badToken("key", "the token is signed with an unknown key")
	badAlg      = badToken("algorithm", "the token has an algorithm that is not allowed")
	badSign     = badToken("signature", "the signature is wrong")
	badType     = badToken("type", "the token is of another type")
	noExpiry    = badToken("no_expiry", "the token has no expiry")
	expired     = badToken("expired", "the token has expired")
	tooOld      = badToken("too_old", "the token is too old")
	notYet      = badToken("not_yet", "the token is not yet valid")
	badIssuer   = badToken("issuer", "the token is of another issuer")
	badAudience = badToken("audience", "the token is for another audience")
	badClaim    = badToken("unfit_claim", "the token has a claim that cannot be passed on")
	unknown     = badToken("consumer", "the token belongs to no consumer")
)

// makeReplies makes the answers, which depend on nothing but the configuration.
func (j *JWTAuth) makeReplies() {
	j.replies = make(map[*reason]filter.Action, len(everyReason))
	for _, r := range everyReason {
		opts := []filter.ReplyOption{filter.WithDetails("moe.jwtauth." + r.name)}
		switch challenge := fmt.Sprintf("Bearer realm=%q", j.Realm); {
		case r.code != "":
			challenge += fmt.Sprintf(", error=%q, error_description=%q", r.code, r.text)
			opts = append(opts, filter.WithHeader("www-authenticate", challenge))
		case r.status == 401:
			opts = append(opts, filter.WithHeader("www-authenticate", challenge))
		}
		j.replies[r] = filter.Reply(r.status, r.text, opts...)
	}
	j.replies[missing] = filter.Unauthenticated(j.replies[missing])
}

// refuse counts, logs and answers. Nothing of the token is logged but what it is wrong with.
func (j *JWTAuth) refuse(s filter.Stream, r *reason) filter.Action {
	j.refused.With(r.name).Inc()
	if r != missing {
		s.Log().Info("refused a token", "reason", r.name)
	}
	return j.replies[r]
}
