// Package demo registers the filter of docs/examples/mosnfilter, and registers it again under the type that MOSN's own example
// of a stream filter has, whose configuration it understands. That example is a Go plugin, which nobody can import.
package demo

import (
	"mosn.io/api"
	"mosn.io/moe/docs/examples/mosnfilter"
)

func init() { api.RegisterStream("demo", mosnfilter.New) }
