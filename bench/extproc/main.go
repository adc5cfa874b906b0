// Command extproc measures `moe extproc` beside a minimal server written by hand on go-control-plane: CPU of the server
// process for each request, and requests per second, in interleaved rounds behind one Envoy.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"mosn.io/moe/internal/envoy"
)

func main() {
	rounds := flag.Int("rounds", 20, "rounds, of which the median counts")
	length := flag.Duration("round", 500*time.Millisecond, "how long each server is measured in a round")
	conns := flag.Int("connections", 8, "connections")
	serve := flag.String("serve", "", "be a server: moe, moe-whole, minimal or minimal-both")
	flag.Parse()
	if err := run(*serve, *rounds, *length, *conns); err != nil {
		fmt.Fprintln(os.Stderr, "extproc:", err)
		os.Exit(1)
	}
}

func run(serve string, rounds int, length time.Duration, conns int) error {
	if serve != "" {
		return serveAs(serve)
	}
	binary, err := envoy.Find("")
	if err != nil {
		return err
	}
	all := variants()
	for _, v := range all {
		if v.server == "" {
			continue
		}
		if err := v.start(); err != nil {
			return err
		}
		defer v.stop()
	}
	config, err := config(all)
	if err != nil {
		return err
	}
	ctx := context.Background()
	p, err := envoy.Start(ctx, envoy.Options{
		Path: binary, Config: config, Concurrency: 1, LogLevel: "warning",
		Log: os.Stderr, Stdout: os.Stderr,
	})
	if err != nil {
		return err
	}
	defer p.Stop()
	for _, v := range all {
		if v.addr, err = p.Listener(ctx, v.name); err != nil {
			return err
		}
		if _, err := load(v.addr, conns, 300*time.Millisecond, v.greeted()); err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
	}
	for i := range rounds {
		for j := range all {
			v := all[(i+j)%len(all)] // in another order each time
			if err := v.measure(conns, length); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
		}
	}
	report(all)
	return nil
}

// measure adds a round to v.
func (v *variant) measure(conns int, length time.Duration) error {
	before, err := v.cpu()
	if err != nil {
		return err
	}
	start := time.Now()
	n, err := load(v.addr, conns, length, v.greeted())
	if err != nil {
		return err
	}
	took := time.Since(start)
	after, err := v.cpu()
	if err != nil {
		return err
	}
	v.micros = append(v.micros, float64((after-before).Microseconds())/float64(n))
	v.rates = append(v.rates, float64(n)/took.Seconds())
	v.rss = max(v.rss, v.memory())
	v.requests += n
	return nil
}

func report(all []*variant) {
	base := map[string]*variant{}
	for _, v := range all {
		base[v.name] = v
	}
	fmt.Printf("%-14s %14s %8s %12s %8s %10s %9s\n", "server", "CPU µs/req", "×", "req/s", "×", "RSS MiB", "requests")
	for _, v := range all {
		cpuRatio, rateRatio := "", ""
		if b := base[v.beside]; b != nil {
			cpuRatio = fmt.Sprintf("%.2f", median(ratios(v.micros, b.micros)))
			rateRatio = fmt.Sprintf("%.2f", median(ratios(v.rates, b.rates)))
		}
		fmt.Printf("%-14s %14.1f %8s %12.0f %8s %10.1f %9d\n", v.name, median(v.micros), cpuRatio, median(v.rates), rateRatio,
			float64(v.rss)/(1<<20), v.requests)
	}
}

// ratios compares round by round: what disturbs a round disturbs both.
func ratios(all, base []float64) (r []float64) {
	for i := range all {
		r = append(r, all[i]/base[i])
	}
	return r
}

func median(all []float64) float64 {
	all = slices.Clone(all)
	slices.Sort(all)
	return all[len(all)/2]
}
