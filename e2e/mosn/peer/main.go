// Command peer is a MOSN with the filters of plugins/mosn and of docs/examples/mosnfilter, to compare with.
//
//	peer start -c mosn_config.json
package main

import (
	"fmt"
	"os"

	"github.com/urfave/cli"
	_ "mosn.io/moe/e2e/mosn/demo"
	_ "mosn.io/mosn/istio/istio1106/filter/stream/jwtauthn"
	_ "mosn.io/mosn/istio/istio1106/filter/stream/rbac"
	_ "mosn.io/mosn/pkg/filter/network/connectionmanager"
	_ "mosn.io/mosn/pkg/filter/network/faultinject"
	_ "mosn.io/mosn/pkg/filter/network/proxy"
	_ "mosn.io/mosn/pkg/filter/network/streamproxy"
	_ "mosn.io/mosn/pkg/filter/stream/dsl"
	_ "mosn.io/mosn/pkg/filter/stream/faultinject"
	_ "mosn.io/mosn/pkg/filter/stream/faulttolerance"
	_ "mosn.io/mosn/pkg/filter/stream/flowcontrol"
	_ "mosn.io/mosn/pkg/filter/stream/gzip"
	_ "mosn.io/mosn/pkg/filter/stream/headertometadata"
	_ "mosn.io/mosn/pkg/filter/stream/ipaccess"
	_ "mosn.io/mosn/pkg/filter/stream/payloadlimit"
	_ "mosn.io/mosn/pkg/filter/stream/proxywasm"
	"mosn.io/mosn/pkg/mosn"
	_ "mosn.io/mosn/pkg/network"
	_ "mosn.io/mosn/pkg/protocol"
	_ "mosn.io/mosn/pkg/router"
	_ "mosn.io/mosn/pkg/server/keeper"
	"mosn.io/mosn/pkg/stagemanager"
	_ "mosn.io/mosn/pkg/stream/http"
	_ "mosn.io/mosn/pkg/stream/http2"
	_ "mosn.io/mosn/pkg/wasm/abi/proxywasm010"
	_ "mosn.io/mosn/pkg/wasm/abi/proxywasm020"
	_ "mosn.io/mosn/pkg/wasm/runtime/wazero"
)

func main() {
	app := cli.NewApp()
	app.Commands = []cli.Command{{
		Name:  "start",
		Flags: []cli.Flag{cli.StringFlag{Name: "config, c"}, cli.StringFlag{Name: "feature-gates"}},
		Action: func(c *cli.Context) error {
			stages := stagemanager.InitStageManager(c, c.String("config"), mosn.NewMosn())
			stages.AppendInitStage(mosn.DefaultInitStage)
			stages.AppendPreStartStage(mosn.DefaultPreStartStage)
			stages.AppendStartStage(mosn.DefaultStartStage)
			stages.RunAll()
			return nil
		},
	}}
	if err := app.Run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
