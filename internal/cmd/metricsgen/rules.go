package main

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// ruleFile is a file of rules as Prometheus has it.
type ruleFile struct {
	Groups []ruleGroup `yaml:"groups"`
}

type ruleGroup struct {
	Name  string `yaml:"name"`
	Rules []rule `yaml:"rules"`
}

type rule struct {
	Record      string            `yaml:"record,omitempty"`
	Alert       string            `yaml:"alert,omitempty"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

// recording is a rule that keeps the result of a query under a name.
type recording struct {
	name string
	of   query
}

var recordings = []recording{
	{"moe:streams:rate5m", query{`sum by (chain) (rate(%s[5m]))`, []string{"moe.streams.begun"}}},
	{"moe:replies:rate5m", query{`sum by (plugin) (rate(%s[5m]))`, []string{"moe.replies"}}},
	{"moe:phase_calls:rate5m", query{`sum by (plugin, phase) (rate(%s[5m]))`, []string{"moe.phase.calls"}}},
	{"moe:phase_errors:ratio5m", query{
		`sum by (plugin, phase) (rate(%s[5m])) / sum by (plugin, phase) (rate(%s[5m]))`,
		[]string{"moe.phase.errors", "moe.phase.calls"},
	}},
	{"moe:phase_duration_seconds:p99_5m", query{
		`histogram_quantile(0.99, sum by (plugin, phase, le) (rate(%s[5m]))) / 1e6`, []string{"moe.phase.duration_us"},
	}},
	{"moe:phase_wait_seconds:p99_5m", query{
		`histogram_quantile(0.99, sum by (plugin, phase, le) (rate(%s[5m]))) / 1e6`, []string{"moe.phase.wait_us"},
	}},
}

// alert is a rule that calls somebody.
type alert struct {
	name     string
	when     query
	lasting  string // how long it must be so; "" is at once
	severity string
	summary  string
	todo     string
}

const (
	page   = "critical" // requests fail
	ticket = "warning"
)

var alerts = []alert{
	{
		name: "MoePluginPanics", severity: page,
		when:    query{`sum by (plugin) (increase(%s[10m])) > 0`, []string{"moe.panics"}},
		summary: "The plugin {{ $labels.plugin }} panics",
		todo:    "Its requests are answered with 500. The log has the stack.",
	},
	{
		name: "MoePluginTimesOut", severity: page, lasting: "5m",
		when:    query{`sum by (plugin) (rate(%s[5m])) > 0`, []string{"moe.timeouts"}},
		summary: "The plugin {{ $labels.plugin }} keeps requests waiting for too long",
		todo:    "Its requests are answered with 504. Look at what it calls.",
	},
	{
		name: "MoeConfigurationRejected", severity: ticket,
		when:    query{`sum by (of) (increase(%s[10m])) > 0`, []string{`moe.config.loads result="rejected"`}},
		summary: "A configuration of a {{ $labels.of }} was rejected",
		todo:    "The one before goes on. The log says what is wrong with the new one.",
	},
	{
		name: "MoeConsumersNotReloaded", severity: ticket,
		when:    query{`sum(increase(%s[10m])) > 0`, []string{`moe.consumer.reloads result="failed"`}},
		summary: "A change of the consumers was rejected",
		todo:    "The consumers from before go on. The log says what is wrong with the files.",
	},
	{
		name: "MoePluginMisbehaves", severity: ticket,
		when:    query{`sum by (plugin) (increase(%s[1h])) > 0`, []string{"moe.misuses"}},
		summary: "The plugin {{ $labels.plugin }} has a bug",
		todo:    "It changes what it may not change, or too late. The log says what, once.",
	},
	{
		name: "MoePhaseErrors", severity: ticket, lasting: "10m",
		when: query{
			`sum by (plugin, phase) (rate(%s[5m])) / sum by (plugin, phase) (rate(%s[5m])) > 0.05`,
			[]string{"moe.phase.errors", "moe.phase.calls"},
		},
		summary: "More than 5 % of the calls of {{ $labels.phase }} of {{ $labels.plugin }} fail",
		todo:    "moe.phase.errors says by its tag error how they fail.",
	},
	{
		name: "MoePhaseSlow", severity: ticket, lasting: "10m",
		when: query{
			`histogram_quantile(0.99, sum by (plugin, phase, le) (rate(%s[5m]))) > 1e6`, []string{"moe.phase.duration_us"},
		},
		summary: "{{ $labels.phase }} of {{ $labels.plugin }} takes more than a second for one request in a hundred",
		todo:    "moe.phase.wait_us says how much of that is waiting. A trace shows for what.",
	},
	{
		name: "MoeSpansDropped", severity: ticket, lasting: "10m",
		when:    query{`sum by (reason) (rate(%s[5m])) > 0`, []string{"moe.trace.spans_dropped"}},
		summary: "Spans are lost: {{ $labels.reason }}",
		todo:    "Look at the collector; traces have gaps meanwhile.",
	},
	{
		name: "MoeLogLinesDropped", severity: ticket, lasting: "10m",
		when:    query{`sum by (reason) (rate(%s[5m])) > 0`, []string{"moe.log.dropped"}},
		summary: "Lines of the log do not reach the collector: {{ $labels.reason }}",
		todo:    "Look at the collector; the lines are in the host's log.",
	},
	{
		name: "MoeMetricsNotExported", severity: ticket, lasting: "10m",
		when:    query{`sum(rate(%s[5m])) > 0`, []string{`moe.metrics.exports result="failed"`}},
		summary: "Metrics do not reach the collector",
		todo:    "Look at the collector; counters catch up with the next export.",
	},
	{
		name: "MoeMetricsDropped", severity: ticket,
		when:    query{`sum by (reason) (increase(%s[1h])) > 0`, []string{"moe.metrics.dropped"}},
		summary: "Metrics lose values: {{ $labels.reason }}",
		todo:    "A tag has too many values, or two metrics have one name.",
	},
}

const rulesHead = `# Prometheus rules for MoE. Written by internal/cmd/metricsgen; change the rules there and run ` + "`make generate`" + `.
# Names match those of Envoy's /stats/prometheus, of moe extproc's /metrics, and of a collector's Prometheus exporter.
`

// rules is packaging/observability/prometheus-rules.yaml.
func rules() ([]byte, error) {
	t := definitions()
	recorded, alerting := ruleGroup{Name: "moe-recording"}, ruleGroup{Name: "moe-alerts"}
	for _, r := range recordings {
		expr, err := t.write(r.of)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
		recorded.Rules = append(recorded.Rules, rule{Record: r.name, Expr: expr})
	}
	for _, a := range alerts {
		expr, err := t.write(a.when)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.name, err)
		}
		alerting.Rules = append(alerting.Rules, rule{
			Alert: a.name, Expr: expr, For: a.lasting, Labels: map[string]string{"severity": a.severity},
			Annotations: map[string]string{"summary": a.summary, "description": a.todo},
		})
	}
	b := bytes.NewBufferString(rulesHead)
	e := yaml.NewEncoder(b)
	e.SetIndent(2)
	err := e.Encode(ruleFile{Groups: []ruleGroup{recorded, alerting}})
	return b.Bytes(), err
}
