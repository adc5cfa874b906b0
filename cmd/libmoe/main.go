// Package main is libmoe.so: the plugin library, the hosts that run it inside Envoy, and the exporter of traces.
package main

import (
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
