// Package main is libmoe.so with MOSN's filters: `make libmoe-mosn` builds it.
package main

import (
	_ "mosn.io/moe/framework/host/dynmod"
	_ "mosn.io/moe/framework/host/golang"
	_ "mosn.io/moe/pkg/consumer"
	_ "mosn.io/moe/plugins"
	_ "mosn.io/moe/plugins/mosn"
)

func main() {}
