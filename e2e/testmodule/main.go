// Command testmodule is libmoe.so for the conformance suite: the hosts in it, all plugins, and the probes.
package main

import (
	_ "mosn.io/moe/e2e/probes"
	_ "mosn.io/moe/framework/host/dynmod"
	_ "mosn.io/moe/framework/host/dynmod/accesslog"
	_ "mosn.io/moe/framework/host/dynmod/bootstrap"
	_ "mosn.io/moe/framework/host/dynmod/certvalidator"
	_ "mosn.io/moe/framework/host/dynmod/listener"
	_ "mosn.io/moe/framework/host/dynmod/network"
	_ "mosn.io/moe/framework/host/dynmod/udp"
	_ "mosn.io/moe/framework/host/golang"
	_ "mosn.io/moe/framework/telemetry/otlp"
	_ "mosn.io/moe/pkg/consumer"
	_ "mosn.io/moe/plugins"
)

func main() {}
