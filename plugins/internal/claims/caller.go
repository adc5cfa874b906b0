package claims

import (
	"crypto/sha256"
	"fmt"

	"mosn.io/moe/framework/filter"
)

// Caller is who a request is from, for plugins that keep apart what is not everybody's, such as a cache: whether or not that is
// a listed consumer, and also when the credential is no longer in the request. It is a digest of what all plugins have given to
// [AddCaller].
var Caller = filter.NewSharedKey("moe.caller")

// AddCaller has parts tell the request's caller apart from others, besides what other plugins have added before.
func AddCaller(s filter.Stream, parts ...string) {
	if before, ok := Caller.Get(s); ok {
		parts = append([]string{before}, parts...)
	}
	Caller.Set(s, digestOf(parts...))
}

// digestOf is the same for no two lists of parts.
func digestOf(parts ...string) string {
	digest := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(digest, "%d:%s", len(p), p)
	}
	return string(digest.Sum(nil))
}
