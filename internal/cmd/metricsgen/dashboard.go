package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"mosn.io/moe/framework/metrics"
)

// The types below have the fields of Grafana's dashboards that are needed here
// (https://grafana.com/docs/grafana/latest/visualizations/dashboards/build-dashboards/view-dashboard-json-model/).

type dashboard struct {
	UID           string     `json:"uid"`
	Title         string     `json:"title"`
	Description   string     `json:"description"`
	Tags          []string   `json:"tags"`
	SchemaVersion int        `json:"schemaVersion"`
	Editable      bool       `json:"editable"`
	Timezone      string     `json:"timezone"`
	Refresh       string     `json:"refresh"`
	Time          timeRange  `json:"time"`
	Templating    templating `json:"templating"`
	Annotations   list       `json:"annotations"`
	Panels        []panel    `json:"panels"`
}

type timeRange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// list is one that may be empty, but not absent.
type list struct {
	List []any `json:"list"`
}

type templating struct {
	List []variable `json:"list"`
}

type variable struct {
	Name       string  `json:"name"`
	Label      string  `json:"label"`
	Type       string  `json:"type"`
	Query      string  `json:"query"`
	Datasource *source `json:"datasource,omitempty"`
	Refresh    int     `json:"refresh"`
	Multi      bool    `json:"multi"`
	IncludeAll bool    `json:"includeAll"`
	AllValue   string  `json:"allValue,omitempty"`
}

type source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type panel struct {
	ID          int          `json:"id"`
	Type        string       `json:"type"`
	Title       string       `json:"title"`
	Description string       `json:"description,omitempty"`
	GridPos     gridPos      `json:"gridPos"`
	Datasource  *source      `json:"datasource,omitempty"`
	Targets     []target     `json:"targets,omitempty"`
	FieldConfig *fieldConfig `json:"fieldConfig,omitempty"`
	Collapsed   *bool        `json:"collapsed,omitempty"`
	Panels      *[]panel     `json:"panels,omitempty"` // of a row: those in it while it is collapsed
}

type gridPos struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

type target struct {
	RefID        string  `json:"refId"`
	Datasource   *source `json:"datasource"`
	Expr         string  `json:"expr"`
	LegendFormat string  `json:"legendFormat"`
}

type fieldConfig struct {
	Defaults  defaults `json:"defaults"`
	Overrides []any    `json:"overrides"`
}

type defaults struct {
	Unit string `json:"unit"`
	Min  *int   `json:"min,omitempty"`
}

var prometheus = &source{Type: "prometheus", UID: "${datasource}"}

// sections are the rows of the dashboard: each has the metrics whose names begin as it says.
var sections = []struct{ title, prefix string }{
	{"Requests", "moe.streams."},
	{"Plugins", ""}, // what no other has
	{"Phases of plugins (metrics: phases)", "moe.phase."},
	{"Consumers", "moe.consumer"},
	{"Configurations", "moe.config."},
	{"Caches", "moe.cache."},
	{"Exports", "moe.trace."},
	{"Logs", "moe.log."},
	{"Metrics", "moe.metrics."},
	{"Go", "moe.go."},
}

// sectionOf returns the index of the section of a metric.
func sectionOf(name string) int {
	other := 0
	for i, s := range sections {
		switch {
		case s.prefix == "":
			other = i
		case strings.HasPrefix(name, s.prefix):
			return i
		}
	}
	return other
}

const (
	panelWidth  = 8
	panelHeight = 8
	gridWidth   = 24
)

// dashboardJSON is packaging/observability/grafana-dashboard.json: a panel for each metric of the table.
func dashboardJSON() ([]byte, error) {
	t := definitions()
	bySection := make([][]metrics.Definition, len(sections))
	for _, d := range metrics.Definitions() {
		i := sectionOf(d.Name)
		bySection[i] = append(bySection[i], d)
	}
	b := dashboard{
		UID: "moe", Title: "MoE", Tags: []string{"envoy", "moe"}, SchemaVersion: 39, Editable: true, Timezone: "browser",
		Description: "Plugins of MoE. Written by internal/cmd/metricsgen from the table in docs/metrics.md.",
		Annotations: list{[]any{}}, Refresh: "30s", Time: timeRange{"now-1h", "now"},
	}
	plugins, err := t.selector("moe.replies")
	if err != nil {
		return nil, err
	}
	b.Templating.List = []variable{
		{Name: "datasource", Label: "Data source", Type: "datasource", Query: "prometheus", Refresh: 1},
		{
			Name: "plugin", Label: "Plugin", Type: "query", Query: "label_values(" + plugins + ", plugin)", Datasource: prometheus,
			Refresh: 2, Multi: true, IncludeAll: true, AllValue: ".*",
		},
	}
	id, y := 0, 0
	for i, s := range sections {
		if len(bySection[i]) == 0 {
			return nil, fmt.Errorf("no metric is in the section %q", s.title)
		}
		id++
		b.Panels = append(b.Panels, panel{
			ID: id, Type: "row", Title: s.title, Collapsed: new(bool), Panels: &[]panel{}, GridPos: gridPos{1, gridWidth, 0, y},
		})
		y++
		x := 0
		for _, d := range bySection[i] {
			if x+panelWidth > gridWidth {
				x, y = 0, y+panelHeight
			}
			p, err := t.panelOf(d)
			if err != nil {
				return nil, err
			}
			id++
			p.ID, p.GridPos = id, gridPos{panelHeight, panelWidth, x, y}
			b.Panels = append(b.Panels, p)
			x += panelWidth
		}
		y += panelHeight
	}
	text, err := json.MarshalIndent(b, "", "  ")
	return append(text, '\n'), err
}

// panelOf returns the panel of a metric: a counter's shows its rate, a histogram's quantiles.
func (t tableOf) panelOf(d metrics.Definition) (panel, error) {
	var matchers, legend []string
	for _, tag := range d.Tags {
		legend = append(legend, "{{"+tag+"}}")
		if tag == "plugin" {
			matchers = []string{`plugin=~"$plugin"`}
		}
	}
	s, err := t.selector(d.Name, matchers...)
	if err != nil {
		return panel{}, err
	}
	by := strings.Join(d.Tags, ", ")
	names := strings.Join(legend, " ")
	zero := 0
	p := panel{
		Type: "timeseries", Title: d.Name, Description: strings.ReplaceAll(d.Help, "`", ""), Datasource: prometheus,
		FieldConfig: &fieldConfig{Defaults: defaults{Unit: unitOf(d), Min: &zero}, Overrides: []any{}},
	}
	add := func(expr, legend string) {
		p.Targets = append(p.Targets, target{
			RefID: string(rune('A' + len(p.Targets))), Datasource: prometheus, Expr: expr, LegendFormat: strings.TrimSpace(legend),
		})
	}
	switch d.Kind {
	case metrics.Histogram:
		for _, q := range []string{"0.5", "0.99"} {
			add("histogram_quantile("+q+", sum by ("+by+", le) (rate("+s+"[$__rate_interval])))", names+" p"+strings.TrimPrefix(q, "0."))
		}
	case metrics.Counter:
		add("sum by ("+by+") (rate("+s+"[$__rate_interval]))", names)
	case metrics.Gauge:
		add("sum by ("+by+") ("+s+")", names)
	}
	return p, nil
}

// unitOf returns Grafana's unit of a panel.
func unitOf(d metrics.Definition) string {
	switch {
	case d.Kind == metrics.Histogram && strings.HasSuffix(d.Name, "_us"):
		return "µs"
	case strings.HasSuffix(d.Name, "_bytes"):
		return "bytes"
	case strings.HasSuffix(d.Name, "_ms"): // of a second
		return "ms"
	case d.Kind == metrics.Counter:
		return "cps"
	}
	return "short"
}
