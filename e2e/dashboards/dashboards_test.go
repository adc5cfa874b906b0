// Package dashboards reads what packaging/observability has for operators as those programs do that it is for: rules with
// Prometheus' parser, the dashboard with Grafana's types.
package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	grafana "github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/prometheus/common/model"
	"github.com/prometheus/otlptranslator"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	_ "mosn.io/moe/framework/assembly" // whose metrics, and those of all that it uses, are in the table
	"mosn.io/moe/framework/metrics"
)

const folder = "../../packaging/observability/"

// kinds are those of OTLP.
var kinds = map[metrics.Kind]otlptranslator.MetricType{
	metrics.Counter: otlptranslator.MetricTypeMonotonicCounter, metrics.Gauge: otlptranslator.MetricTypeGauge,
	metrics.Histogram: otlptranslator.MetricTypeHistogram,
}

// names returns the names of a metric in Prometheus: scraped from moe extproc and from Envoy, and taken over OTLP.
func names(t *testing.T, d metrics.Definition) []string {
	t.Helper()
	unit := ""
	if strings.HasSuffix(d.Name, "_us") {
		unit = "us"
	}
	namer := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)
	translated, err := namer.Build(otlptranslator.Metric{Name: d.Name, Unit: unit, Type: kinds[d.Kind]})
	if err != nil {
		t.Fatalf("the name of %s over OTLP: %v", d.Name, err)
	}
	plain := metrics.PrometheusName(d.Name)
	all := []string{plain, "envoy_dynamicmodulescustom_" + plain, translated}
	if d.Kind == metrics.Histogram {
		for i := range all {
			all[i] += "_bucket"
		}
	}
	return all
}

// checkExpression parses an expression and returns the metrics of the table that it selects. Each of its selectors must select
// one, by all the names that it has, and by tags that it has.
func checkExpression(t *testing.T, text string) (selected []string) {
	t.Helper()
	e, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		t.Errorf("Prometheus cannot parse %s: %v", text, err)
		return nil
	}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if v, ok := n.(*parser.VectorSelector); ok {
			selected = append(selected, checkSelector(t, v.LabelMatchers))
		}
		return nil
	})
	return selected
}

func checkSelector(t *testing.T, matchers []*labels.Matcher) string {
	t.Helper()
	at := slices.IndexFunc(matchers, func(m *labels.Matcher) bool { return m.Name == model.MetricNameLabel })
	if at < 0 {
		t.Errorf("the selector %v has no name", matchers)
		return ""
	}
	for _, d := range metrics.Definitions() {
		all := names(t, d)
		if !slices.ContainsFunc(all, matchers[at].Matches) {
			continue
		}
		for _, name := range all {
			if !matchers[at].Matches(name) {
				t.Errorf("%v does not match %s, which is %s as well", matchers[at], name, d.Name)
			}
		}
		for _, m := range matchers {
			if m.Name != model.MetricNameLabel && !slices.Contains(d.Tags, m.Name) {
				t.Errorf("%s has no tag %s", d.Name, m.Name)
			}
		}
		return d.Name
	}
	t.Errorf("%v matches no metric of the table", matchers[at])
	return ""
}

// Prometheus reads the rules, and what they ask for exists.
func TestRules(t *testing.T) {
	groups, errs := rulefmt.ParseFile(folder+"prometheus-rules.yaml", false, model.LegacyValidation, parser.NewParser(parser.Options{}))
	for _, err := range errs {
		t.Errorf("Prometheus: %v", err)
	}
	if groups == nil {
		t.Fatalf("Prometheus has read no rules")
	}
	alerts, recordings := 0, 0
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			t.Run(r.Record+r.Alert, func(t *testing.T) {
				if selected := checkExpression(t, r.Expr); len(selected) == 0 {
					t.Errorf("%s selects no metric", r.Expr)
				}
				if r.Alert == "" {
					recordings++
					return
				}
				alerts++
				if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
					t.Errorf("the alert has the annotations %v, want a summary and a description", r.Annotations)
				}
				for _, label := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(r.Annotations["summary"], -1) {
					if !regexp.MustCompile(`by \([^)]*\b` + label[1] + `\b`).MatchString(r.Expr) {
						t.Errorf("the summary names the label %s, which the expression does not keep: %s", label[1], r.Expr)
					}
				}
			})
		}
	}
	if alerts < 5 || recordings < 3 {
		t.Errorf("there are %d alerts and %d recordings, want those of all groups", alerts, recordings)
	}
}

// classic is a dashboard in the schema that every Grafana imports.
//
//lint:ignore SA1019 older versions of Grafana do not import its successor
type classic = dashboard.Dashboard

// strictly reports what Grafana does not know, or misses, in a dashboard. The dashboard that is read so has no panels, as the
// library takes an empty list of errors for an error.
func strictly(text []byte) error { return some((&classic{}).UnmarshalJSONStrict(text)) }

// some returns err unless it is an empty list of errors.
func some(err error) error {
	if list, ok := err.(cog.BuildErrors); ok && len(list) == 0 {
		return nil
	}
	return err
}

// Grafana reads the dashboard, each metric of the table has a panel, and no two panels overlap.
func TestDashboard(t *testing.T) {
	runtime := cog.NewRuntime()
	runtime.RegisterPanelcfgVariant(timeseries.VariantConfig())
	runtime.RegisterDataqueryVariant(grafana.VariantConfig())
	text, err := os.ReadFile(folder + "grafana-dashboard.json")
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	if err := strictly(text); err != nil {
		t.Errorf("Grafana: %v", err)
	}
	var d classic
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatalf("Grafana: %v", err)
	}
	if err := some(d.Validate()); err != nil {
		t.Errorf("Grafana: %v", err)
	}
	shown := map[string]bool{}
	cells := map[string]string{}
	for _, p := range d.Panels {
		if p.RowPanel != nil || p.Panel == nil {
			continue
		}
		title := *p.Panel.Title
		t.Run(title, func(t *testing.T) {
			for y := p.Panel.GridPos.Y; y < p.Panel.GridPos.Y+p.Panel.GridPos.H; y++ {
				for x := p.Panel.GridPos.X; x < p.Panel.GridPos.X+p.Panel.GridPos.W; x++ {
					cell := fmt.Sprint(x, " ", y)
					if other := cells[cell]; other != "" {
						t.Errorf("the panel overlaps that of %s at %s", other, cell)
					}
					cells[cell] = title
				}
			}
			if len(p.Panel.Targets) == 0 {
				t.Errorf("the panel asks for nothing")
			}
			for _, target := range p.Panel.Targets {
				query, ok := target.(*grafana.Dataquery)
				if !ok {
					t.Errorf("the panel asks a %T, want Prometheus", target)
					continue
				}
				// Grafana puts a duration, and a regular expression, in the place of its variables.
				expr := strings.NewReplacer("$__rate_interval", "1m", "$plugin", ".*").Replace(query.Expr)
				for _, name := range checkExpression(t, expr) {
					shown[name] = true
				}
			}
		})
	}
	for _, d := range metrics.Definitions() {
		if !shown[d.Name] {
			t.Errorf("no panel shows %s", d.Name)
		}
	}
}

// The checks find what is wrong.
func TestChecksFind(t *testing.T) {
	for name, expr := range map[string]string{
		"a metric that does not exist": `rate(moe_panic[5m])`,
		"no PromQL":                    `rate(moe_panics[5m]`,
		"a tag that it does not have":  `rate({__name__=~"(envoy_dynamicmodulescustom_)?moe_panics(_total)?", phase="x"}[5m])`,
		"one of its names":             `rate(moe_panics[5m])`,
	} {
		t.Run(name, func(t *testing.T) {
			seen := &testing.T{}
			checkExpression(seen, expr)
			if !seen.Failed() {
				t.Errorf("%s passes, want an error", expr)
			}
		})
	}
	t.Run("a dashboard with a field that Grafana does not know", func(t *testing.T) {
		text, err := os.ReadFile(folder + "grafana-dashboard.json")
		if err != nil {
			t.Fatalf("os.ReadFile: %v", err)
		}
		text = bytes.Replace(text, []byte(`"expr":`), []byte(`"expression":`), 1)
		if err := strictly(text); err == nil || !strings.Contains(err.Error(), "expr") {
			t.Errorf("got error %v, want one about expr", err)
		}
	})
}
