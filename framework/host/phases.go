package host

import (
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/phase"
)

// Phases returns the phases that a plugin implements: their Methods, and what Envoy Sends for them where it has to be
// told ahead.
func Phases(reg *filter.Registration) phase.Set { return phase.Of(reg.Handler) }
