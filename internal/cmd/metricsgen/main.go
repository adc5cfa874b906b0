// Command metricsgen writes what is made of the definitions of the framework's metrics: docs/metrics.md, and a dashboard and
// rules for those who look at them.
//
//	go run ./internal/cmd/metricsgen           write what has changed
//	go run ./internal/cmd/metricsgen -check    write nothing, exit 1 if something would change
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"

	_ "mosn.io/moe/framework/assembly" // whose metrics, and those of all that it uses, are in the list
)

// files are what is generated, by their paths in the repository.
var files = map[string]func() ([]byte, error){
	"docs/metrics.md": table,
	"packaging/observability/grafana-dashboard.json": dashboardJSON,
	"packaging/observability/prometheus-rules.yaml":  rules,
}

func main() {
	check := flag.Bool("check", false, "only tell what would change")
	flag.Parse()
	changed, err := generate(!*check)
	for _, path := range changed {
		fmt.Println(path)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "metricsgen:", err)
		os.Exit(1)
	}
	if *check && len(changed) > 0 {
		fmt.Fprintln(os.Stderr, "metricsgen: these files are stale; run `go run ./internal/cmd/metricsgen`")
		os.Exit(1)
	}
}

// generate returns the files that are not as they should be, and writes them if it may.
func generate(write bool) (changed []string, err error) {
	for path, make := range files {
		want, err := make()
		if err != nil {
			return changed, fmt.Errorf("%s: %w", path, err)
		}
		got, _ := os.ReadFile(path)
		if bytes.Equal(got, want) {
			continue
		}
		changed = append(changed, path)
		if write {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				return changed, err
			}
		}
	}
	return changed, nil
}
