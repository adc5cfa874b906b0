package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestQuantile(t *testing.T) {
	xs := []float64{4, 1, 3, 2}
	for _, c := range []struct{ q, want float64 }{{0, 1}, {0.25, 1.75}, {0.5, 2.5}, {0.75, 3.25}, {1, 4}} {
		t.Run(fmt.Sprint(c.q), func(t *testing.T) {
			if got := quantile(xs, c.q); got != c.want {
				t.Errorf("quantile %v: %v, want %v", c.q, got, c.want)
			}
		})
	}
	if xs[0] != 4 {
		t.Error("quantile sorts its argument")
	}
	if got := median([]float64{7}); got != 7 {
		t.Errorf("median of one: %v", got)
	}
	if !math.IsNaN(median(nil)) {
		t.Error("median of nothing is a number")
	}
}

// subjectOf makes a subject with one slice of each cost a round; the worker's and, as much, the others'.
func subjectOf(name string, costs ...[]float64) *subject {
	s := &subject{variant: variant{name: name}}
	for _, round := range costs {
		var slices []sample
		for _, c := range round {
			slices = append(slices, sample{Requests: 1000, Seconds: c / 500, WorkerUS: c, OthersUS: c / 10})
		}
		s.slices = append(s.slices, slices)
	}
	return s
}

// What drifts between rounds cancels, because each round is compared with its own baseline.
func TestRowsCompareWithinRounds(t *testing.T) {
	base := subjectOf(none, []float64{20, 22}, []float64{60, 62}, []float64{30, 32})
	other := subjectOf("moe-one", []float64{26}, []float64{66}, []float64{37})
	rs := rows([]*subject{base, other})
	if got := rs[1].Over; got.Median != 5 || got.Low != 5 || got.High != 5.5 {
		t.Errorf("over none: %+v", got)
	}
	if got := rs[1].Others.Median; math.Abs(got-0.5) > 1e-9 {
		t.Errorf("others: %v", got)
	}
	if rs[0].Worker != 31 || rs[0].Over.Median != 0 {
		t.Errorf("baseline: %+v", rs[0])
	}
	if math.Abs(rs[1].Busy-0.5) > 1e-9 {
		t.Errorf("busy: %v", rs[1].Busy)
	}
}

func TestJudge(t *testing.T) {
	got := judge(map[string]float64{
		"moe-one": 5, "sdk-one": 10, "moe-ten": 8, "native-ten": 8, "moe-nop": 1, "c-nop": -1,
		"keyauth-100k": 2, "keyauth-10": 1,
	}, map[string]float64{"moe-one": 25, "sdk-one": 30, "keyauth-100k": 22, "keyauth-10": 21})
	want := []goalRow{
		{Variant: "moe-one", Than: "sdk-one", Goal: 0.6, Ratio: 0.5, OK: true},
		{Variant: "moe-ten", Than: "native-ten", Goal: 0.9, Ratio: 1, OK: false},
		// Nothing can be said: what it is compared with drowned in noise.
		{Variant: "moe-nop", Than: "c-nop", Goal: 1.3, Ratio: -1, OK: false},
		{Variant: "keyauth-100k", Than: "keyauth-10", Goal: 1.1, Ratio: 22.0 / 21, OK: true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

// Every goal must name variants that are measured.
func TestGoalsNameVariants(t *testing.T) {
	names := map[string]bool{}
	for _, v := range variants(setHeaders{true}) {
		names[v.name] = true
	}
	for _, g := range append(slices.Clone(goals), wholeGoals...) {
		if !names[g.variant] || !names[g.than] {
			t.Errorf("goal %s / %s names a variant that there is not", g.variant, g.than)
		}
	}
}

func TestOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := 1; n < 20; n++ {
		got := order(n, rng)
		if got[0] != 0 {
			t.Fatalf("%d: the baseline is not the first of %v", n, got)
		}
		count := make([]int, n)
		for _, i := range got {
			count[i]++
		}
		for i, c := range count {
			if want := 1; c != want && !(i == 0 && c == 2) {
				t.Errorf("%d: %d comes %d times in %v", n, i, c, got)
			}
		}
		if n > 3 && count[0] != 2 {
			t.Errorf("%d: the baseline comes %d times", n, count[0])
		}
	}
}

func TestPrint(t *testing.T) {
	r := &report{
		Settings: settings{Rounds: 7, Conns: 8},
		Variants: []row{
			{Name: none, What: "no filter", Worker: 22, Busy: 0.99},
			{Name: "moe-one", Worker: 27, Over: spread{4.5, 5, 5.25}, Others: spread{1, 1.5, 2}, Busy: 1},
		},
		Goals: []goalRow{
			{Variant: "moe-one", Than: "sdk-one", Goal: 0.6, Ratio: 0.5, OK: true},
			{Variant: "moe-nop", Than: "c-nop", Goal: 1.3, Ratio: math.Inf(1), OK: false},
		},
		Memory: []memoryRow{
			{Name: "memory-none", Requests: 10, Start: 50 << 20, Half: 51 << 20, End: 51 << 20, Peak: 52 << 20},
		},
		Counts: []countRow{{Name: none, Worker: 78600}, {Name: "c-nop", Worker: 82600, Over: 4000, Others: 100}},
	}
	var b strings.Builder
	r.print(&b)
	for _, want := range []string{
		"median of 7 interleaved rounds", "| +5.00 ", "| +4.50 … +5.25 ", "| +1.50 ", "| 99% ", "| 0.50 ", "| ok ",
		"| miss |", "| +4000 ", "| +100 ",
		"| - ", "| 50.0 MiB ", "| +1.0 MiB |",
	} {
		t.Run(want, func(t *testing.T) {
			if !strings.Contains(b.String(), want) {
				t.Errorf("no %q in\n%s", want, b.String())
			}
		})
	}
}
