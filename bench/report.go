package main

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// A goal is a bound on the cost of one variant, in multiples of another's; both over no filter at all, with the same
// requests.
type goal struct {
	variant, than string
	factor        float64
}

var goals = []goal{
	{"moe-one", "sdk-one", 0.6},
	{"moe-one", "lua-one", 0.6},
	{"moe-ten", "sdk-ten", 0.35},
	{"moe-ten", "native-ten", 0.9},
	{"moe-ten", "lua-ten", 0.15},
	{"moe-nop", "c-nop", 1.3},
	{"moe-async", "sdk-async", 0.9},
	{"moe-golang-one", "golang-one", 1},
	{"moe-golang-ten", "moe-golang-one", 1.15},
	{"golang-nop", "sdk-nop", 2},
	{"moe-jwt", "native-jwt", 1.3},
	{"moe-jwt-cached", "native-jwt", 0.8},
	{"moe-ratelimit", "native-ratelimit", 1.3},
}

// wholeGoals are bounds on what a request costs in all, what Envoy does without a filter included.
var wholeGoals = []goal{{"keyauth-100k", "keyauth-10", 1.1}, {"moe-cache", proxied, 0.5}}

// report is what a run has found; it is also its JSON.
type report struct {
	Machine  machine     `json:"machine"`
	Settings settings    `json:"settings"`
	Variants []row       `json:"variants,omitempty"`
	Counts   []countRow  `json:"instructions,omitempty"`
	Goals    []goalRow   `json:"goals"`
	Memory   []memoryRow `json:"memory,omitempty"`
}

// row is a variant's result: medians over the rounds, in microseconds of CPU per request.
type row struct {
	Name   string     `json:"name"`
	What   string     `json:"what"`
	Worker float64    `json:"workerMicroseconds"`
	Over   spread     `json:"overNone"`       // the worker's, less that of no filter in the same round
	Others spread     `json:"othersOverNone"` // the same of all other threads
	Busy   float64    `json:"busy"`           // median share of the time in which the worker ran
	Slices [][]sample `json:"slices"`
}

// spread is a median with its quartiles.
type spread struct {
	Low    float64 `json:"lowerQuartile"`
	Median float64 `json:"median"`
	High   float64 `json:"upperQuartile"`
}

func spreadOf(xs []float64) spread {
	return spread{quantile(xs, 0.25), median(xs), quantile(xs, 0.75)}
}

type goalRow struct {
	Variant string  `json:"variant"`
	Than    string  `json:"than"`
	Goal    float64 `json:"goal"`
	Ratio   float64 `json:"ratio"`
	OK      bool    `json:"ok"`
}

// perRound returns one number a round: the mean of f over its slices.
func (s *subject) perRound(f func(sample) float64) []float64 {
	var out []float64
	for _, round := range s.slices {
		var xs []float64
		for _, one := range round {
			xs = append(xs, f(one))
		}
		out = append(out, mean(xs))
	}
	return out
}

func worker(s sample) float64 { return s.WorkerUS }
func others(s sample) float64 { return s.OthersUS }

// baseOf returns the one of those before v that it is compared with: the first, or that of v's base.
func baseOf[T any](v variant, list []T, name func(T) string) T {
	for _, x := range list {
		if name(x) == v.base {
			return x
		}
	}
	return list[0]
}

// rows compares every subject with the one without a filter.
func rows(subjects []*subject) []row {
	var out []row
	for _, s := range subjects {
		base := baseOf(s.variant, subjects, func(s *subject) string { return s.name })
		r := row{Name: s.name, What: s.what, Slices: s.slices}
		r.Worker = median(s.perRound(worker))
		r.Over = spreadOf(minus(s.perRound(worker), base.perRound(worker)))
		r.Others = spreadOf(minus(s.perRound(others), base.perRound(others)))
		r.Busy = median(s.perRound(sample.busy))
		out = append(out, r)
	}
	return out
}

// judge holds what variants cost, over none and in all, against the goals; those whose variants were not measured are
// left out.
func judge(over, whole map[string]float64) []goalRow {
	return append(holdAgainst(goals, over), holdAgainst(wholeGoals, whole)...)
}

func holdAgainst(goals []goal, cost map[string]float64) []goalRow {
	var out []goalRow
	for _, g := range goals {
		a, ok := cost[g.variant]
		b, ok2 := cost[g.than]
		if !ok || !ok2 {
			continue
		}
		ratio := a / b
		out = append(out, goalRow{g.variant, g.than, g.factor, ratio, b > 0 && ratio <= g.factor})
	}
	return out
}

// print writes the report as Markdown.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "%s\n%s\n\n", r.Machine, r.Settings)
	if len(r.Variants) > 0 {
		markdown(w, r.variantTable())
	}
	if len(r.Counts) > 0 {
		markdown(w, r.countTable())
	}
	if len(r.Goals) > 0 {
		fmt.Fprintln(w)
		markdown(w, r.goalTable())
	}
	if len(r.Memory) > 0 {
		fmt.Fprintln(w)
		markdown(w, r.memoryTable())
	}
}

func (r *report) variantTable() [][]string {
	table := [][]string{{"variant", "", "worker µs", "over none", "quartiles", "other threads", "busy"}}
	for _, v := range r.Variants {
		line := []string{v.Name, v.What, fmt.Sprintf("%.1f", v.Worker), "", "", "", fmt.Sprintf("%.0f%%", v.Busy*100)}
		if v.Name != none {
			line[3] = fmt.Sprintf("%+.2f", v.Over.Median)
			line[4] = fmt.Sprintf("%+.2f … %+.2f", v.Over.Low, v.Over.High)
			line[5] = fmt.Sprintf("%+.2f", v.Others.Median)
		}
		table = append(table, line)
	}
	return table
}

func (r *report) countTable() [][]string {
	table := [][]string{{"variant", "", "worker", "over none", "other threads"}}
	for _, c := range r.Counts {
		line := []string{c.Name, c.What, fmt.Sprintf("%.0f", c.Worker), "", ""}
		if c.Name != none {
			line[3], line[4] = fmt.Sprintf("%+.0f", c.Over), fmt.Sprintf("%+.0f", c.Others)
		}
		table = append(table, line)
	}
	return table
}

func (r *report) goalTable() [][]string {
	table := [][]string{{"goal", "at most", "measured", ""}}
	for _, g := range r.Goals {
		word := "miss"
		if g.OK {
			word = "ok"
		}
		table = append(table, []string{g.Variant + " / " + g.Than, fmt.Sprintf("%.2f", g.Goal), number(g.Ratio), word})
	}
	return table
}

func (r *report) memoryTable() [][]string {
	table := [][]string{{"memory", "", "requests", "RSS at start", "half-way", "at end", "peak", "change"}}
	for _, m := range r.Memory {
		table = append(table, []string{
			m.Name, m.What, fmt.Sprint(m.Requests), mib(m.Start), mib(m.Half), mib(m.End),
			mib(m.Peak), fmt.Sprintf("%+.1f MiB", float64(m.End-m.Start)/(1<<20)),
		})
	}
	return table
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func number(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return "-"
	}
	return fmt.Sprintf("%.2f", x)
}

// markdown writes a table whose columns line up.
func markdown(w io.Writer, table [][]string) {
	width := make([]int, len(table[0]))
	for _, line := range table {
		for i, cell := range line {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	for n, line := range table {
		for i, cell := range line {
			fmt.Fprintf(w, "| %s%s ", cell, strings.Repeat(" ", width[i]-len([]rune(cell))))
		}
		fmt.Fprintln(w, "|")
		if n > 0 {
			continue
		}
		for i := range line {
			fmt.Fprintf(w, "|%s", strings.Repeat("-", width[i]+2))
		}
		fmt.Fprintln(w, "|")
	}
}
