package main

import "math"

// A goal is a bound on the cost of one variant, in multiples of another's; both over no filter at all, with the same
// requests.
type goal struct {
	variant, than string
	factor        float64
	floor         string // the variant whose cost is taken from both, as no way to do the work can have less; "": none
	whole         bool   // what a request costs in all, what Envoy does without a filter included
}

var goals = []goal{
	{variant: "moe-one", than: "sdk-one", factor: 0.75},
	{variant: "moe-one", than: "sdk-one", factor: 0.5, floor: "c-one"},
	{variant: "moe-one", than: "lua-one", factor: 0.45},
	{variant: "moe-one-constant", than: "sdk-one", factor: 0.75},
	{variant: "moe-one-constant", than: "sdk-one", factor: 0.5, floor: "c-one"},
	{variant: "moe-ten-constant", than: "sdk-ten", factor: 0.3},
	{variant: "moe-ten", than: "native-ten", factor: 0.9},
	{variant: "moe-ten", than: "sdk-ten", factor: 0.3},
	{variant: "moe-ten", than: "lua-ten", factor: 0.12},
	{variant: "moe-async", than: "sdk-async", factor: 0.9},
	{variant: "moe-nop", than: "c-nop", factor: 1.1},
	{variant: "golang-nop", than: "sdk-nop", factor: 1.5},
	{variant: "moe-golang-one", than: "golang-one", factor: 1},
	{variant: "moe-golang-ten", than: "moe-golang-one", factor: 1.15},
	{variant: "moe-jwt", than: "native-jwt", factor: 1.3},
	{variant: "moe-jwt-cached", than: "native-jwt", factor: 0.8},
	{variant: "moe-ratelimit", than: "native-ratelimit", factor: 1.3},
	{variant: "keyauth-100k", than: "keyauth-10", factor: 1.1, whole: true},
	{variant: "moe-cache", than: proxied, factor: 0.5, whole: true},
}

// String names what the goal compares.
func (g goal) String() string {
	name := g.variant + " / " + g.than
	switch {
	case g.floor != "":
		return name + ", above " + g.floor
	case g.whole:
		return name + ", in all"
	}
	return name
}

// costs are those of the variants, a number for each launch.
type costs map[string]variantCost

type variantCost struct{ over, whole []float64 }

func costsOf(subjects []*subject) costs {
	all := costs{}
	for _, s := range subjects {
		all[s.name] = variantCost{over: s.over(s.base(subjects), worker), whole: s.perLaunch(worker)}
	}
	return all
}

// The verdicts on a goal.
const (
	met       = "met"
	missed    = "missed"
	undecided = "undecided"
)

// decisive is how many launches it takes: of fewer, an interval says little.
const decisive = 6

type goalRow struct {
	Goal    string   `json:"goal"`
	AtMost  float64  `json:"atMost"`
	Ratio   figure   `json:"ratio"`
	Within  interval `json:"interval"`
	Verdict string   `json:"verdict"`
}

// judge holds costs against the goals; those whose variants were not measured are left out. Exact costs repeat, so that
// one launch decides.
func judge(all costs, exact bool) []goalRow {
	var out []goalRow
	for _, g := range goals {
		variant, ok := g.launches(all, g.variant)
		than, ok2 := g.launches(all, g.than)
		if !ok || !ok2 {
			continue
		}
		ratio := func(drawn []int) float64 { return quotient(median(pick(variant, drawn)), median(pick(than, drawn))) }
		r := goalRow{Goal: g.String(), AtMost: g.factor, Ratio: figure(quotient(median(variant), median(than)))}
		if exact {
			r.Within = interval{r.Ratio, r.Ratio}
		} else {
			r.Within = resample(len(variant), ratio)
		}
		r.Verdict = r.Within.verdict(g.factor, exact || len(variant) >= decisive)
		out = append(out, r)
	}
	return out
}

// launches returns the costs that the goal compares of a variant. What is taken from them is of the same launch.
func (g goal) launches(all costs, name string) ([]float64, bool) {
	c, ok := all[name]
	switch {
	case g.whole:
		return c.whole, ok
	case g.floor == "":
		return c.over, ok
	}
	floor, ok2 := all[g.floor]
	if !ok || !ok2 {
		return nil, false
	}
	return minus(c.over, floor.over), true
}

// quotient is NaN where b has drowned in noise, so that nothing is a multiple of it.
func quotient(a, b float64) float64 {
	if b <= 0 {
		return math.NaN()
	}
	return a / b
}

// verdict says whether a ratio is within the bound, or above it, wherever in the interval it is.
func (i interval) verdict(atMost float64, enough bool) string {
	switch {
	case enough && float64(i.High) <= atMost:
		return met
	case enough && float64(i.Low) > atMost:
		return missed
	}
	return undecided
}
