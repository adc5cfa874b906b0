// Command libmoe is the dynamic module with the plugins that bench measures.
package main

import (
	_ "mosn.io/moe/bench/plugins"
	_ "mosn.io/moe/framework/host/dynmod"
)

func main() {}
