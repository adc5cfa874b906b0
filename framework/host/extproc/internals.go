package extproc

import (
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// internals is the door for the framework's own packages.
var internals = filter.Internals(core.Internal{})
