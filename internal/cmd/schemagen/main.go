// Command schemagen writes plugins/NAME/schema.json, the JSON Schema of each plugin's configuration with the doc
// comments of its source; and the schema, the CRD manifest and the reference of package istio's policies.
//
//	go run ./internal/cmd/schemagen           write what has changed
//	go run ./internal/cmd/schemagen -check    write nothing, exit 1 if something would change
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"

	"mosn.io/moe/framework/bootstrap"
	"mosn.io/moe/framework/certvalidator"
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/listener"
	"mosn.io/moe/framework/network"
	"mosn.io/moe/framework/udp"
	_ "mosn.io/moe/plugins"
)

// registrations are those of all kinds that have their schemas in folders of their own.
func registrations() []*extension.Registration {
	return slices.Concat(extension.Bases(filter.Registrations()), extension.Bases(network.Registrations()),
		extension.Bases(listener.Registrations()), extension.Bases(udp.Registrations()),
		extension.Bases(certvalidator.Registrations()), extension.Bases(bootstrap.Registrations()))
}

func main() {
	check := flag.Bool("check", false, "only tell what would change")
	flag.Parse()
	changed, err := generate(registrations(), !*check)
	if err == nil {
		var more []string
		more, err = generateDocuments(!*check)
		changed = append(changed, more...)
	}
	for _, path := range changed {
		fmt.Println(path)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "schemagen:", err)
		os.Exit(1)
	}
	if *check && len(changed) > 0 {
		fmt.Fprintln(os.Stderr, "schemagen: these files are stale; run `go run ./internal/cmd/schemagen`")
		os.Exit(1)
	}
}
