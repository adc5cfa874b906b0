// Command libmoe is libmoe.so for the bench: MOSN's filters, and the plain plugins that they are compared with.
package main

import (
	_ "mosn.io/moe/e2e/mosn/bench/plainip"
	_ "mosn.io/moe/framework/host/dynmod"
	_ "mosn.io/moe/plugins/mosn"
)

func main() {}
