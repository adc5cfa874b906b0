package host

import (
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// Phases returns the phases that a plugin implements, or has constants for: their Methods, and what Envoy Sends for them
// where its configuration has to say so.
func Phases(reg *filter.Registration) phase.Set { return internals.Phases(reg) }

var internals = filter.Internals(core.Internal{})
