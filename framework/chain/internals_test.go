package chain_test

import (
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

var internals = filter.Internals(core.Internal{})
