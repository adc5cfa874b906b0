// Command libmoe is libmoe.so with the plugins that bench measures.
package main

import (
	_ "mosn.io/moe/bench/plugins"
	_ "mosn.io/moe/framework/host/dynmod"
	_ "mosn.io/moe/framework/host/dynmod/accesslog"
	_ "mosn.io/moe/framework/host/dynmod/network"
	_ "mosn.io/moe/framework/host/golang"
	_ "mosn.io/moe/pkg/consumer"
	_ "mosn.io/moe/plugins/accesslog"
	_ "mosn.io/moe/plugins/cache"
	_ "mosn.io/moe/plugins/jwtauth"
	_ "mosn.io/moe/plugins/keyauth"
	_ "mosn.io/moe/plugins/ratelimit"
)

func main() {}
