package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// settle is how long a process has to fall asleep after its last response: the times of sleeping threads are exact.
const settle = 5 * time.Millisecond

// A subject is a variant that is being measured.
type subject struct {
	variant
	process  *process
	client   *client
	launches []launch
}

// A launch is what was measured between the start of a variant's Envoy and its end: the slices of each round. Where the
// memory of a process comes to lie decides as much as its code does, so only launches are independent of each other.
type launch [][]sample

// begins notes that the variant has a new Envoy.
func (s *subject) begins(p *process, c *client) {
	s.process, s.client = p, c
	s.launches = append(s.launches, nil)
}

// sample is one slice of load on one variant.
type sample struct {
	Requests int     `json:"requests"`
	Seconds  float64 `json:"seconds"`
	WorkerUS float64 `json:"workerMicroseconds"` // CPU per request
	KernelUS float64 `json:"kernelMicroseconds"` // of that, in the kernel
	OthersUS float64 `json:"othersMicroseconds"`
}

// busy is the share of the slice in which the worker ran. Below 1 it was the client or another program on the machine
// that set the pace, and the worker woke up more often than it would have.
func (s sample) busy() float64 { return s.WorkerUS * float64(s.Requests) / 1e6 / s.Seconds }

// load keeps the variant's Envoy busy for d, after a tenth of that to warm it up.
func (s *subject) load(d time.Duration) (sample, error) {
	if _, err := s.client.run(for_(d / 10)); err != nil {
		return sample{}, err
	}
	time.Sleep(settle)
	before, err := readCPU(s.process.Pid(), s.process.worker)
	if err != nil {
		return sample{}, err
	}
	start := time.Now()
	n, err := s.client.run(for_(d))
	if err != nil {
		return sample{}, err
	}
	seconds := time.Since(start).Seconds()
	time.Sleep(settle)
	after, err := readCPU(s.process.Pid(), s.process.worker)
	if err != nil {
		return sample{}, err
	}
	used := after.sub(before)
	per := func(d time.Duration) float64 { return micros(d) / float64(n) }
	return sample{n, seconds, per(used.worker), per(used.kernel), per(used.others)}, nil
}

// for_ has a client send requests for d.
func for_(d time.Duration) func(int) bool {
	end := time.Now().Add(d)
	return func(int) bool { return time.Now().Before(end) }
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// measure loads every subject of one launch once a round, in an order that changes from round to round, and the one without a filter
// twice, at the beginning and in the middle: all others are compared with the mean of the two.
func measure(ctx context.Context, subjects []*subject, rounds int, d time.Duration, rng *rand.Rand) error {
	for round := range rounds {
		for _, i := range order(len(subjects), rng) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			s := subjects[i]
			one, err := s.load(d)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			l := &s.launches[len(s.launches)-1]
			if len(*l) <= round {
				*l = append(*l, nil)
			}
			(*l)[round] = append((*l)[round], one)
		}
	}
	return nil
}

// order returns the indexes of n subjects: the first at the beginning and in the middle, the others shuffled.
func order(n int, rng *rand.Rand) []int {
	out := []int{0}
	for k, i := range rng.Perm(n - 1) {
		if k == (n-1)/2 && k > 0 {
			out = append(out, 0)
		}
		out = append(out, i+1)
	}
	return out
}
