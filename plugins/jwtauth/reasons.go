package jwtauth

import (
	"fmt"

	"mosn.io/moe/framework/filter"
)

// reason is why a request does not pass.
type reason struct {
	index  int
	name   string // in metrics, logs and response code details
	status int
	code   string // of RFC 6750, section 3.1; "" where a request has no token at all
	text   string // for the client
}

// Reasons, by their index in JWTAuth.replies.
var (
	missing     = &reason{0, "missing", 401, "", "missing token"}
	several     = &reason{1, "several", 400, "invalid_request", "more than one token"}
	malformed   = &reason{2, "malformed", 401, "invalid_token", "malformed token"}
	badKey      = &reason{3, "key", 401, "invalid_token", "the token is signed with an unknown key"}
	badAlg      = &reason{4, "algorithm", 401, "invalid_token", "the token has an algorithm that is not allowed"}
	badSign     = &reason{5, "signature", 401, "invalid_token", "the signature is wrong"}
	badType     = &reason{6, "type", 401, "invalid_token", "the token is of another type"}
	noExpiry    = &reason{7, "no_expiry", 401, "invalid_token", "the token has no expiry"}
	expired     = &reason{8, "expired", 401, "invalid_token", "the token has expired"}
	tooOld      = &reason{9, "too_old", 401, "invalid_token", "the token is too old"}
	notYet      = &reason{10, "not_yet", 401, "invalid_token", "the token is not yet valid"}
	badIssuer   = &reason{11, "issuer", 401, "invalid_token", "the token is of another issuer"}
	badAudience = &reason{12, "audience", 401, "invalid_token", "the token is for another audience"}
	notAllowed  = &reason{13, "claims", 403, "insufficient_scope", "the token does not allow this"}
	badClaim    = &reason{14, "unfit_claim", 401, "invalid_token", "the token has a claim that cannot be passed on"}
	nobody      = &reason{15, "consumer", 401, "invalid_token", "the token is nobody's here"}
	noKeys      = &reason{16, "no_keys", 503, "", "the keys are not available"}
	everyReason = []*reason{
		missing, several, malformed, badKey, badAlg, badSign, badType, noExpiry, expired, tooOld, notYet, badIssuer,
		badAudience, notAllowed, badClaim, nobody, noKeys,
	}
)

const reasons = 17

// makeReplies makes the answers, which depend on nothing but the configuration.
func (j *JWTAuth) makeReplies() {
	for _, r := range everyReason {
		opts := []filter.ReplyOption{filter.WithDetails("moe.jwtauth." + r.name)}
		switch challenge := fmt.Sprintf("Bearer realm=%q", j.Realm); {
		case r.code != "":
			challenge += fmt.Sprintf(", error=%q, error_description=%q", r.code, r.text)
			opts = append(opts, filter.WithHeader("www-authenticate", challenge))
		case r.status == 401:
			opts = append(opts, filter.WithHeader("www-authenticate", challenge))
		}
		j.replies[r.index] = filter.Reply(r.status, r.text, opts...)
	}
	j.replies[missing.index] = filter.Unauthenticated(j.replies[missing.index])
}

// refuse counts, logs and answers. Nothing of the token is logged but what it is wrong with.
func (j *JWTAuth) refuse(s filter.Stream, r *reason) filter.Action {
	j.refused.With(r.name).Inc()
	if r != missing {
		s.Log().Info("refused a token", "reason", r.name)
	}
	return j.replies[r.index]
}
