package filtertest

import (
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/internal/core"
)

// shared is the door for the framework's own packages.
var shared = extension.Internals(core.Internal{})
