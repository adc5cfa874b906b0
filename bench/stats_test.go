package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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

// launchOf makes a launch with one slice of each cost a round; the worker's and, as much, the others'.
func launchOf(costs ...[]float64) (l launch) {
	for _, round := range costs {
		var slices []sample
		for _, c := range round {
			slices = append(slices, sample{Requests: 1000, Seconds: c / 500, WorkerUS: c, KernelUS: c / 2, OthersUS: c / 10})
		}
		l = append(l, slices)
	}
	return l
}

func subjectOf(name string, launches ...launch) *subject {
	return &subject{variant: variant{name: name}, launches: launches}
}

// What drifts between rounds cancels, because each round is compared with its own baseline.
func TestRowsCompareWithinRounds(t *testing.T) {
	base := subjectOf(none, launchOf([]float64{20, 22}, []float64{60, 62}, []float64{30, 32}), launchOf([]float64{100}))
	other := subjectOf("moe-one", launchOf([]float64{26}, []float64{66}, []float64{37}), launchOf([]float64{109}))
	rs := rows([]*subject{base, other})
	if got, want := rs[1].Over, (spread{Low: 6, Median: 7, High: 8}); got != want { // of 5 and 9
		t.Errorf("over none: %+v, want %+v", got, want)
	}
	if got, want := rs[1].Within, (interval{Low: 5, High: 9}); got != want {
		t.Errorf("its interval: %+v, want %+v", got, want)
	}
	if got := rs[1].Others.Median; math.Abs(got-0.7) > 1e-9 {
		t.Errorf("others: %v, want 0.7", got)
	}
	if got := rs[0]; got.Worker != 65.5 || got.Kernel != 32.75 || got.Over.Median != 0 {
		t.Errorf("baseline: worker %v, kernel %v, over none %v; want 65.5, 32.75, 0", got.Worker, got.Kernel, got.Over.Median)
	}
	if got := rs[1].Busy; math.Abs(got-0.5) > 1e-9 {
		t.Errorf("busy: %v, want 0.5", got)
	}
}

// drawn has n launches of a variant whose median cost is middle. As on a real machine, few are much dearer than most.
func drawn(rng *rand.Rand, n int, middle float64) (xs []float64) {
	for range n {
		xs = append(xs, middle*math.Exp(0.25*rng.NormFloat64()))
	}
	return xs
}

// An interval says 95 %: it covers the ratio of the medians about as often, and where a variant is exactly as dear as its
// goal allows, few measurements decide.
func TestIntervalsCover(t *testing.T) {
	const measurements = 200
	rng := rand.New(rand.NewPCG(7, 8))
	for _, n := range []int{decisive, 12} {
		t.Run(fmt.Sprintf("%d launches", n), func(t *testing.T) {
			covers, early := 0, 0
			for range measurements {
				a, b := drawn(rng, n, 6), drawn(rng, n, 8)
				got := resample(n, func(drawn []int) float64 { return quotient(median(pick(a, drawn)), median(pick(b, drawn))) })
				if got.Low <= 0.75 && 0.75 <= got.High {
					covers++
				}
				if got.verdict(0.75, true) == met {
					early++
				}
			}
			if share := float64(covers) / measurements; share < 0.90 {
				t.Errorf("%.3f of the intervals cover the ratio, want 0.90 at least", share)
			}
			if share := float64(early) / measurements; share > 0.05 {
				t.Errorf("a goal that is just reached is met in %.3f of the measurements, want 0.05 at most", share)
			}
		})
	}
}

// What differs clearly is decided, and rightly.
func TestVerdicts(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for _, c := range []struct {
		name       string
		cost, than float64
		launches   int
		want       string
	}{
		{name: "half of what is allowed", cost: 3, than: 8, launches: 12, want: met},
		{name: "twice what is allowed", cost: 12, than: 8, launches: 12, want: missed},
		{name: "as much as is allowed", cost: 6, than: 8, launches: 12, want: undecided},
		{name: "too few launches", cost: 3, than: 8, launches: decisive - 1, want: undecided},
		{name: "nothing to compare with", cost: 3, than: -1, launches: 12, want: undecided},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := costs{"moe-one": {over: drawn(rng, c.launches, c.cost)}, "sdk-one": {over: drawn(rng, c.launches, c.than)}}
			if got := judge(all, false); len(got) != 1 || got[0].Verdict != c.want {
				t.Errorf("judge says %+v, want one goal that is %s", got, c.want)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	got := judge(costs{
		"moe-one": {over: []float64{15}}, "sdk-one": {over: []float64{20}}, "c-one": {over: []float64{12}},
		"moe-nop": {over: []float64{1}}, "c-nop": {over: []float64{-1}},
		"keyauth-100k": {over: []float64{2}, whole: []float64{22}}, "keyauth-10": {over: []float64{1}, whole: []float64{21}},
	}, true)
	for i := range got {
		if math.IsNaN(float64(got[i].Ratio)) { // which equals nothing
			got[i].Ratio, got[i].Within = -1, interval{}
		}
	}
	want := []goalRow{
		{Goal: "moe-one / sdk-one", AtMost: 0.75, Ratio: 0.75, Within: interval{0.75, 0.75}, Verdict: met},
		{
			Goal: "moe-one / sdk-one, above c-one", AtMost: 0.5, Ratio: 3.0 / 8, Within: interval{3.0 / 8, 3.0 / 8},
			Verdict: met,
		},
		// Nothing can be said: what it is compared with drowned in noise.
		{Goal: "moe-nop / c-nop", AtMost: 1.1, Ratio: -1, Verdict: undecided},
		{
			Goal: "keyauth-100k / keyauth-10, in all", AtMost: 1.1, Ratio: 22.0 / 21, Within: interval{22.0 / 21, 22.0 / 21},
			Verdict: met,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("judge (-want +got):\n%s", diff)
	}
}

// Every goal must name variants that are measured.
func TestGoalsNameVariants(t *testing.T) {
	names := map[string]bool{}
	for _, v := range variants(setHeaders{true}) {
		names[v.name] = true
	}
	for _, g := range goals {
		if !names[g.variant] || !names[g.than] || g.floor != "" && !names[g.floor] {
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
		Settings: settings{Launches: 7, Conns: 8},
		Variants: []row{
			{Name: none, What: "no filter", Worker: 22, Busy: 0.99},
			{Name: "moe-one", Worker: 27, Over: spread{4.5, 5, 5.25}, Within: interval{3, 6}, Others: spread{1, 1.5, 2}, Busy: 1},
		},
		Goals: []goalRow{
			{Goal: "moe-one / sdk-one", AtMost: 0.6, Ratio: 0.5, Within: interval{0.4, 0.55}, Verdict: met},
			{Goal: "moe-nop / c-nop", AtMost: 1.3, Ratio: figure(math.NaN()), Within: interval{figure(math.Inf(-1)), figure(math.Inf(1))}, Verdict: undecided},
		},
		Memory: []memoryRow{
			{Name: "memory-none", Requests: 10, Start: 50 << 20, Half: 51 << 20, End: 51 << 20, Peak: 52 << 20},
		},
		Counts: []countRow{
			{Name: none, Worker: 78600, Misses: &misses{Code: 100, Data: 200, Last: 1}},
			{Name: "c-nop", Worker: 82600, Over: 4000, Others: 100, Misses: &misses{Code: 120, Data: 230, Last: 12.34}},
		},
	}
	var b strings.Builder
	r.print(&b)
	for _, want := range []string{
		"median of 7 launches", "| +5.00 ", "| +4.50 … +5.25 ", "| +3.00 … +6.00 ", "| +1.50 ", "| 99% ", "| 0.50 ",
		"| 0.40 … 0.55 ", "| met ", "| undecided |", "| +4000 ", "| +100 ", "| 12.3 ",
		"| - … - ", "| 50.0 MiB ", "| +1.0 MiB |",
	} {
		t.Run(want, func(t *testing.T) {
			if !strings.Contains(b.String(), want) {
				t.Errorf("no %q in\n%s", want, b.String())
			}
		})
	}
}
