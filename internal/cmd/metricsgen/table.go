package main

import (
	"bytes"
	"fmt"
	"strings"

	"mosn.io/moe/framework/metrics"
)

const head = `# Metrics

<!-- Written by internal/cmd/metricsgen; change the definitions and run ` + "`make generate`" + `. -->

The framework's own metrics. They have these names and tags wherever they are shown:

| where | the metric ` + "`moe.replies`" + ` with the tag ` + "`plugin`" + ` is |
|---|---|
| Envoy's ` + "`/stats`" + `, dynamic module | ` + "`dynamicmodulescustom.moe.replies.plugin.keyauth`" + ` |
| Envoy's ` + "`/stats/prometheus`" + `, dynamic module | ` + "`envoy_dynamicmodulescustom_moe_replies{plugin=\"keyauth\"}`" + ` |
| Envoy's ` + "`/stats`" + `, Golang filter | ` + "`moe.replies;plugin=keyauth`" + ` behind Envoy's prefix |
| ` + "`moe extproc`" + `, ` + "`/metrics`" + ` | ` + "`moe_replies{plugin=\"keyauth\"}`" + ` |
| OTLP | ` + "`moe.replies`" + ` with the attribute ` + "`plugin`" + ` |

[Observability](observability.md#metrics) says how to get at them. Those of the plugins are in the plugins' READMEs.

`

// table is docs/metrics.md.
func table() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(head)
	section := func(title, text string, phases bool) {
		fmt.Fprintf(&b, "## %s\n\n%s\n\n| metric | type | tags | what it says |\n|---|---|---|---|\n", title, text)
		for _, d := range metrics.Definitions() {
			if d.Phases == phases {
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", d.Name, d.Kind, quoted(d.Tags), strings.ReplaceAll(d.Help, "|", `\|`))
			}
		}
		b.WriteByte('\n')
	}
	section("Always", "", false)
	section("Where a document says `metrics: phases`", `Out of process that is so unless a document says otherwise. Histograms are
in Envoy's statistics as Prometheus has them, as counters `+"`NAME_bucket` with a tag `le`, `NAME_sum` and `NAME_count`"+`: Envoy's
own would take a call into Envoy for every value. These metrics are handed to Envoy once a second, and sooner when no stream is
under way.`, true)
	return append(bytes.TrimRight(bytes.ReplaceAll(b.Bytes(), []byte("\n\n\n"), []byte("\n\n")), "\n"), '\n'), nil
}

func quoted(tags []string) string {
	var all []string
	for _, t := range tags {
		all = append(all, "`"+t+"`")
	}
	return strings.Join(all, ", ")
}
