// Command moe runs, lists, checks and builds plugins of MoE; see `moe help`.
package main

import (
	"os"

	"mosn.io/moe/cmd/moe/cli"
	_ "mosn.io/moe/plugins"
)

func main() { os.Exit(cli.Main(os.Args[1:]...)) }
