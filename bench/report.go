package main

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// report is what a run has found; it is also its JSON.
type report struct {
	Machine  machine     `json:"machine"`
	Settings settings    `json:"settings"`
	Variants []row       `json:"variants,omitempty"`
	Counts   []countRow  `json:"instructions,omitempty"`
	Goals    []goalRow   `json:"goals"`
	Memory   []memoryRow `json:"memory,omitempty"`
}

// row is a variant's result: medians over the launches, in microseconds of CPU per request.
type row struct {
	Name     string   `json:"name"`
	What     string   `json:"what"`
	Worker   float64  `json:"workerMicroseconds"`
	Kernel   float64  `json:"kernelMicroseconds"` // of these
	Over     spread   `json:"overNone"`           // the worker's, less that of no filter in the same rounds
	Within   interval `json:"overNoneInterval"`   // of the median of Over
	Others   spread   `json:"othersOverNone"`     // the same of all other threads
	Busy     float64  `json:"busy"`               // median share of the time in which the worker ran
	Launches []launch `json:"launches"`
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

// perRound returns one number a round: the mean of f over its slices.
func (l launch) perRound(f func(sample) float64) []float64 {
	var out []float64
	for _, round := range l {
		var xs []float64
		for _, one := range round {
			xs = append(xs, f(one))
		}
		out = append(out, mean(xs))
	}
	return out
}

// perLaunch returns one number a launch: the median over its rounds.
func (s *subject) perLaunch(f func(sample) float64) []float64 {
	var out []float64
	for _, l := range s.launches {
		out = append(out, median(l.perRound(f)))
	}
	return out
}

// over is perLaunch less what base has in the same round.
func (s *subject) over(base *subject, f func(sample) float64) []float64 {
	var out []float64
	for i, l := range s.launches {
		out = append(out, median(minus(l.perRound(f), base.launches[i].perRound(f))))
	}
	return out
}

func worker(s sample) float64 { return s.WorkerUS }
func kernel(s sample) float64 { return s.KernelUS }
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

func (s *subject) base(all []*subject) *subject {
	return baseOf(s.variant, all, func(s *subject) string { return s.name })
}

// rows compares every subject with the one without a filter.
func rows(subjects []*subject) []row {
	var out []row
	for _, s := range subjects {
		base := s.base(subjects)
		over := s.over(base, worker)
		out = append(out, row{
			Name: s.name, What: s.what, Launches: s.launches,
			Worker: median(s.perLaunch(worker)),
			Kernel: median(s.perLaunch(kernel)),
			Over:   spreadOf(over),
			Within: resample(len(over), func(drawn []int) float64 { return median(pick(over, drawn)) }),
			Others: spreadOf(s.over(base, others)),
			Busy:   median(s.perLaunch(sample.busy)),
		})
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
	table := [][]string{{"variant", "", "worker µs", "kernel", "over none", "95 %", "quartiles", "other threads", "busy"}}
	for _, v := range r.Variants {
		line := []string{
			v.Name, v.What, fmt.Sprintf("%.1f", v.Worker), fmt.Sprintf("%.1f", v.Kernel), "", "", "", "",
			fmt.Sprintf("%.0f%%", v.Busy*100),
		}
		if v.Name != none {
			line[4] = fmt.Sprintf("%+.2f", v.Over.Median)
			line[5] = fmt.Sprintf("%+.2f … %+.2f", v.Within.Low, v.Within.High)
			line[6] = fmt.Sprintf("%+.2f … %+.2f", v.Over.Low, v.Over.High)
			line[7] = fmt.Sprintf("%+.2f", v.Others.Median)
		}
		table = append(table, line)
	}
	return table
}

func (r *report) countTable() [][]string {
	table := [][]string{{"variant", "", "worker", "over none", "other threads"}}
	cache := r.Counts[0].Misses != nil
	if cache {
		table[0] = append(table[0], "misses: code", "data", "last level")
	}
	for _, c := range r.Counts {
		line := []string{c.Name, c.What, fmt.Sprintf("%.0f", c.Worker), "", ""}
		if c.Name != none {
			line[3], line[4] = fmt.Sprintf("%+.0f", c.Over), fmt.Sprintf("%+.0f", c.Others)
		}
		if cache {
			line = append(line, fmt.Sprintf("%.0f", c.Misses.Code), fmt.Sprintf("%.0f", c.Misses.Data),
				fmt.Sprintf("%.1f", c.Misses.Last))
		}
		table = append(table, line)
	}
	return table
}

func (r *report) goalTable() [][]string {
	table := [][]string{{"goal", "at most", "measured", "95 %", ""}}
	for _, g := range r.Goals {
		within := number(g.Within.Low) + " … " + number(g.Within.High)
		table = append(table, []string{g.Goal, fmt.Sprintf("%.2f", g.AtMost), number(g.Ratio), within, g.Verdict})
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

func number(x figure) string {
	if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(x))
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
