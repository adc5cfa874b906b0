package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"mosn.io/moe/e2e/envoytest"
)

// results are the samples of each target, a round's at the same index everywhere.
type results map[key][]sample

var protocols = []string{"HTTP/1.1", "HTTP/2"}

// print writes the tables. A ratio is that of the two samples of a round, since what disturbs a round disturbs both.
func (r results) print(w io.Writer) {
	fmt.Fprintln(w, "| filter | | MOSN µs | Envoy µs | throughput per core × | quartiles | MOSN req/s | Envoy req/s |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|")
	for _, load := range workloads {
		for _, protocol := range protocols {
			mosn := r[key{cmp.Or(load.against, load.name), protocol, "MOSN"}]
			envoy := r[key{load.name, protocol, "Envoy"}]
			ratio := pairwise(micros(mosn), micros(envoy), func(a, b float64) float64 { return a / b })
			fmt.Fprintf(w, "| %s | %s | %.0f | %.0f | %.2f | %.2f … %.2f | %.0f | %.0f |\n", load.name, protocol,
				median(micros(mosn)), median(micros(envoy)), median(ratio), quantile(ratio, 0.25), quantile(ratio, 0.75),
				median(rates(mosn)), median(rates(envoy)))
		}
	}
	fmt.Fprintln(w, "\n| over a plain plugin, in Envoy | | µs | quartiles | × filter.Go's |\n|---|---|---|---|---|")
	const async = "plain plugin, filter.Go"
	for _, name := range []string{async, "ip_access", "ip_access, goroutine"} {
		for _, protocol := range protocols {
			over := r.overPlain(name, protocol)
			fmt.Fprintf(w, "| %s | %s | %+.1f | %+.1f … %+.1f | %.1f |\n", name, protocol, median(over), quantile(over, 0.25),
				quantile(over, 0.75), median(over)/median(r.overPlain(async, protocol)))
		}
	}
}

// overPlain is what a workload costs Envoy over the plain plugin.
func (r results) overPlain(name, protocol string) []float64 {
	return pairwise(micros(r[key{name, protocol, "Envoy"}]), micros(r[key{"plain plugin", protocol, "Envoy"}]),
		func(a, b float64) float64 { return a - b })
}

func micros(all []sample) []float64 { return each(all, func(s sample) float64 { return s.micros }) }
func rates(all []sample) []float64  { return each(all, func(s sample) float64 { return s.rate }) }

func each(all []sample, f func(sample) float64) (out []float64) {
	for _, s := range all {
		out = append(out, f(s))
	}
	return out
}

func pairwise(a, b []float64, f func(a, b float64) float64) (out []float64) {
	for i := range min(len(a), len(b)) {
		out = append(out, f(a[i], b[i]))
	}
	return out
}

func median(xs []float64) float64 { return quantile(xs, 0.5) }

// quantile returns the q-quantile of xs, between the two nearest.
func quantile(xs []float64, q float64) float64 {
	if len(xs) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(xs))
	at := q * float64(len(s)-1)
	i := int(at)
	if i+1 == len(s) {
		return s[i]
	}
	return s[i] + (s[i+1]-s[i])*(at-float64(i))
}

// memory sends requests with bodies of 10 KiB through payload_limit in Envoy and prints the resident memory.
func memory(ctx context.Context, p *proxies, s settings) error {
	w := workloads[slices.IndexFunc(workloads, func(w workload) bool { return w.name == "payload_limit" })]
	w.body = strings.Repeat("x", 10<<10)
	t := target{workload: w, addr: p.addrs["Envoy"][w.name], pid: p.envoy.Process.Pid}
	fmt.Fprintln(os.Stdout, "\n| requests with bodies of 10 KiB | resident memory |\n|---|---|")
	sent := 0
	for _, n := range []int{s.streams / 10, s.streams / 2, s.streams - s.streams/2} {
		if _, err := t.send(ctx, s, func(done int64) bool { return done < int64(n) }); err != nil {
			return err
		}
		sent += n
		bytes, err := envoytest.RSS(t.pid)
		if err != nil {
			return err
		}
		fmt.Printf("| %d | %.1f MiB |\n", sent, float64(bytes)/(1<<20))
	}
	return nil
}
