package filtertest

import (
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// The doors for the framework's own packages.
var (
	shared    = extension.Internals(core.Internal{})
	internals = filter.Internals(core.Internal{})
)
