package main

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
)

// quantile returns the q-quantile of xs, between its two nearest values where it falls between; NaN of nothing.
func quantile(xs []float64, q float64) float64 {
	if len(xs) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(xs))
	at := q * float64(len(s)-1)
	i := int(at)
	f := at - float64(i)
	if i+1 == len(s) || f == 0 { // which must not count an infinite neighbour
		return s[i]
	}
	return s[i]*(1-f) + s[i+1]*f
}

func median(xs []float64) float64 { return quantile(xs, 0.5) }

func mean(xs []float64) float64 {
	sum := 0.0
	for _, x := range xs {
		sum += x
	}
	return sum / float64(len(xs))
}

// interval is where a number lies that was worked out from a few launches: in 95 of 100 such measurements it would cover
// the number that very many launches have.
type interval struct {
	Low  figure `json:"low"`
	High figure `json:"high"`
}

// figure is a number that nothing may be known of; that is null in JSON, which has no other word for it.
type figure float64

// MarshalJSON is that of json.Marshaler.
func (f figure) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(f))
}

// resamples is how often resample draws.
const resamples = 4000

// resample works f out, as a bootstrap, for launches that are drawn, with replacement, from n; f gets their numbers. What belongs to one
// launch stays together. An f that has no value there, NaN, could be anything.
func resample(n int, f func(drawn []int) float64) interval {
	rng := rand.New(rand.NewPCG(3, 4))
	drawn := make([]int, n)
	low, high := make([]float64, resamples), make([]float64, resamples)
	for i := range resamples {
		for k := range drawn {
			drawn[k] = rng.IntN(n)
		}
		low[i] = f(drawn)
		if high[i] = low[i]; math.IsNaN(low[i]) {
			low[i], high[i] = math.Inf(-1), math.Inf(1)
		}
	}
	return interval{figure(quantile(low, 0.025)), figure(quantile(high, 0.975))}
}

// pick returns the elements with these numbers.
func pick(xs []float64, numbers []int) []float64 {
	out := make([]float64, len(numbers))
	for i, n := range numbers {
		out[i] = xs[n]
	}
	return out
}

// minus subtracts pairwise: the i-th of both belong to one round.
func minus(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] - b[i]
	}
	return out
}
