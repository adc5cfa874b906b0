package jwtauth

import (
	"mosn.io/moe/plugins/internal/bearer"
	"mosn.io/moe/plugins/internal/possession"
)

// reason is why a request does not pass.
type reason = bearer.Reason

var (
	reasons = append(bearer.Reasons(nil), possession.Reasons...)

	missing     = reasons.New("missing", 401, "", "missing token")
	several     = reasons.New("several", 400, "invalid_request", "more than one token")
	notAllowed  = reasons.New("claims", 403, "insufficient_scope", "the token does not allow this")
	noKeys      = reasons.New("no_keys", 503, "", "the keys are not available")
	malformed   = reasons.Bad("malformed", "malformed token")
	badKey      = reasons.Bad("key", "the token is signed with an unknown key")
	badAlg      = reasons.Bad("algorithm", "the token has an algorithm that is not allowed")
	badSign     = reasons.Bad("signature", "the signature is wrong")
	badCipher   = reasons.Bad("encryption", "the token cannot be decrypted")
	notSecret   = reasons.Bad("not_encrypted", "the token is not encrypted")
	badType     = reasons.Bad("type", "the token is of another type")
	noExpiry    = reasons.Bad("no_expiry", "the token has no expiry")
	expired     = reasons.Bad("expired", "the token has expired")
	tooOld      = reasons.Bad("too_old", "the token is too old")
	notYet      = reasons.Bad("not_yet", "the token is not yet valid")
	badIssuer   = reasons.Bad("issuer", "the token is of another issuer")
	badAudience = reasons.Bad("audience", "the token is for another audience")
	badClaim    = reasons.Bad("unfit_claim", "the token has a claim that cannot be passed on")
	unknown     = reasons.Bad("consumer", "the token belongs to no consumer")
)
