// Command libmoe is libmoe.so for this suite: MOSN's filters beside what every host's suite needs.
package main

import (
	_ "mosn.io/moe/e2e/mosn/bench/plainip"
	_ "mosn.io/moe/e2e/mosn/demo"
	_ "mosn.io/moe/e2e/probes"
	_ "mosn.io/moe/framework/host/dynmod"
	_ "mosn.io/moe/framework/host/golang"
	_ "mosn.io/moe/pkg/consumer"
	_ "mosn.io/moe/plugins/mosn"
)

func main() {}
