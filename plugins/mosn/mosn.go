// Package mosn registers MOSN's own stream filters and network filters, as they are in mosn.io/mosn, with the plugin and
// the network filter "mosn".
//
//	moe build --with ./plugins/mosn -o libmoe.so
//
// puts them into a library. The package is a module of its own: only who wants them gets what MOSN requires.
package mosn

import (
	"mosn.io/moe/framework/mosn"
	istio "mosn.io/mosn/istio/istio1106/config/v2"
	_ "mosn.io/mosn/istio/istio1106/filter/stream/jwtauthn" // registers jwt_authn
	_ "mosn.io/mosn/istio/istio1106/filter/stream/rbac"     // registers rbac
	v2 "mosn.io/mosn/pkg/config/v2"
	_ "mosn.io/mosn/pkg/filter/network/faultinject"
	_ "mosn.io/mosn/pkg/filter/stream/dsl"
	_ "mosn.io/mosn/pkg/filter/stream/faultinject"
	_ "mosn.io/mosn/pkg/filter/stream/faulttolerance"
	"mosn.io/mosn/pkg/filter/stream/flowcontrol"
	_ "mosn.io/mosn/pkg/filter/stream/gzip"
	"mosn.io/mosn/pkg/filter/stream/headertometadata"
	"mosn.io/mosn/pkg/filter/stream/ipaccess"
	_ "mosn.io/mosn/pkg/filter/stream/payloadlimit"
	_ "mosn.io/mosn/pkg/filter/stream/proxywasm" // registers proxywasm
	"mosn.io/mosn/pkg/log"
	_ "mosn.io/mosn/pkg/wasm/abi/proxywasm010"
	_ "mosn.io/mosn/pkg/wasm/abi/proxywasm020"
	_ "mosn.io/mosn/pkg/wasm/runtime/wazero"
)

func init() {
	log.DefaultLogger, log.StartLogger, log.Proxy = mosn.DefaultLogger(), mosn.DefaultLogger(), mosn.ProxyLogger()
	for typ, d := range map[string]mosn.Declaration{
		headertometadata.HeaderToMetadata: {Body: mosn.BodyNone, Config: headertometadata.FilterFactory{}, NeverBlocks: true},
		v2.IPAccess:                       {Body: mosn.BodyNone, Config: ipaccess.Conf{}, NeverBlocks: true},
		v2.PayloadLimit:                   {Body: mosn.BodyRequest, Config: v2.StreamPayloadLimit{}, NeverBlocks: true},
		v2.Gzip:                           {Body: mosn.BodyResponse, Config: v2.StreamGzip{}},
		v2.FaultStream:                    {Body: mosn.BodyNone, Config: v2.StreamFaultInject{}},
		v2.FaultTolerance:                 {Body: mosn.BodyNone},
		flowcontrol.FlowControlFilterName: {Body: mosn.BodyNone},
		v2.DSL:                            {Body: mosn.BodyBoth, Config: v2.StreamDSL{}, NeverBlocks: true},
		istio.JwtAuthn:                    {Body: mosn.BodyNone},
		istio.RBAC:                        {Body: mosn.BodyNone, NeverBlocks: true},
	} {
		mosn.Declare(typ, d)
	}
	mosn.DeclareNetwork(v2.FAULT_INJECT_NETWORK_FILTER, v2.FaultInjectConfig{})
}
