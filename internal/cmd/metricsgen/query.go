package main

import (
	"fmt"
	"slices"
	"strings"

	"mosn.io/moe/framework/metrics"
)

// tableOf finds definitions by name. What a query names, and is not there, is an error of whoever wrote the query.
type tableOf map[string]metrics.Definition

func definitions() tableOf {
	t := tableOf{}
	for _, d := range metrics.Definitions() {
		t[d.Name] = d
	}
	return t
}

// envoyPrefix is what Envoy's statistics put before the names of a dynamic module's metrics.
const envoyPrefix = "envoy_dynamicmodulescustom_"

// selector returns what selects the series of a metric, whoever shows them: Envoy, moe extproc, or a collector that has taken
// them over OTLP, which adds the kind and the unit to the name. Matchers are Prometheus', such as `result="rejected"`, and
// name tags of the metric.
func (t tableOf) selector(name string, matchers ...string) (string, error) {
	d, ok := t[name]
	if !ok {
		return "", fmt.Errorf("there is no metric %s", name)
	}
	for _, m := range matchers {
		if tag, _, _ := strings.Cut(m, "="); !slices.Contains(d.Tags, strings.TrimRight(tag, "!~")) {
			return "", fmt.Errorf("%s has no tag %s", name, tag)
		}
	}
	shown := "(" + envoyPrefix + ")?" + metrics.PrometheusName(name)
	switch {
	case d.Kind == metrics.Histogram && strings.HasSuffix(name, "_us"):
		shown += "(_microseconds)?_bucket"
	case d.Kind == metrics.Histogram:
		shown += "_bucket"
	case d.Kind == metrics.Counter:
		shown += "(_total)?"
	}
	all := append([]string{`__name__=~"` + shown + `"`}, matchers...)
	return "{" + strings.Join(all, ", ") + "}", nil
}

// query is an expression with metrics in place of verbs: each %s takes the selector of one of metrics.
type query struct {
	text    string
	metrics []string // names, each with matchers after a space, such as "moe.config.loads result=\"rejected\""
}

func (t tableOf) write(q query) (string, error) {
	args := make([]any, 0, len(q.metrics))
	for _, m := range q.metrics {
		name, matcher, _ := strings.Cut(m, " ")
		var matchers []string
		if matcher != "" {
			matchers = []string{matcher}
		}
		s, err := t.selector(name, matchers...)
		if err != nil {
			return "", err
		}
		args = append(args, s)
	}
	return fmt.Sprintf(q.text, args...), nil
}
