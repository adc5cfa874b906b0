// Command extproc measures `moe extproc` beside a minimal server written by hand on go-control-plane: CPU of the server
// process for each request, and requests per second, in interleaved rounds behind one Envoy; and both beside libmoe.so,
// which runs the same plugin in Envoy itself, by what Envoy takes and by how long a client waits.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"mosn.io/moe/bench/internal/figures"
	"mosn.io/moe/internal/envoy"
)

func main() {
	rounds := flag.Int("rounds", 20, "rounds, of which the median counts")
	length := flag.Duration("round", 500*time.Millisecond, "how long each server is measured in a round")
	conns := flag.Int("connections", 8, "connections")
	serve := flag.String("serve", "", "be a server: moe, moe-both, minimal or minimal-both")
	module := flag.String("module", "build/libmoe.so", "the dynamic module to compare with, as make libmoe builds it")
	flag.Parse()
	if err := run(*serve, *module, *rounds, *length, *conns); err != nil {
		fmt.Fprintln(os.Stderr, "extproc:", err)
		os.Exit(1)
	}
}

func run(serve, module string, rounds int, length time.Duration, conns int) error {
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
		Path: binary, Config: config, Module: module, Concurrency: 1, LogLevel: "warning",
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
			if err := v.measure(p.Pid(), conns, length); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
		}
	}
	report(all)
	return nil
}

// measure adds a round to v.
func (v *variant) measure(envoy, conns int, length time.Duration) error {
	before, err := v.cpu()
	if err != nil {
		return err
	}
	envoyBefore, err := figures.CPU(envoy)
	if err != nil {
		return err
	}
	start := time.Now()
	n, err := load(v.addr, conns, length, v.greeted())
	if err != nil {
		return err
	}
	took := time.Since(start)
	envoyAfter, err := figures.CPU(envoy)
	if err != nil {
		return err
	}
	after, err := v.cpu()
	if err != nil {
		return err
	}
	v.envoy = append(v.envoy, float64((envoyAfter-envoyBefore).Nanoseconds())/1000/float64(n))
	v.waits = append(v.waits, took.Seconds()*1e6*float64(conns)/float64(n))
	v.micros = append(v.micros, float64((after-before).Microseconds())/float64(n))
	v.rates = append(v.rates, float64(n)/took.Seconds())
	v.rss = max(v.rss, v.memory())
	v.requests += n
	return nil
}

// The goals: what moe may cost beside the minimal server, and how much it must serve.
const maxCPU, minRate = 1.15, 0.95

func report(all []*variant) {
	base, none := map[string]*variant{}, all[0] // no filter; what Envoy takes and how long a client waits is over that
	for _, v := range all {
		base[v.name] = v
	}
	fmt.Printf("%-14s %14s %8s %10s %8s %14s %14s %10s %9s\n", "server", "CPU µs/req", "×", "req/s", "×", "Envoy µs/req",
		"latency µs", "RSS MiB", "requests")
	var goals []string
	for _, v := range all {
		cpuRatio, rateRatio := "", ""
		if b := base[v.beside]; b != nil {
			cpuRatio = fmt.Sprintf("%.2f", figures.Median(figures.Ratios(v.micros, b.micros)))
			rateRatio = fmt.Sprintf("%.2f", figures.Median(figures.Ratios(v.rates, b.rates)))
			if b != v {
				goals = append(goals, goal(v.name+" / "+b.name+", CPU, at most", maxCPU, figures.Median(figures.Ratios(v.micros, b.micros)), false),
					goal(v.name+" / "+b.name+", req/s, at least", minRate, figures.Median(figures.Ratios(v.rates, b.rates)), true))
			}
		}
		envoy, waits := figures.Median(v.envoy), figures.Median(v.waits)
		more := func(own, without []float64, base float64) string {
			if v == none {
				return fmt.Sprintf("%.0f", base)
			}
			return fmt.Sprintf("%+.0f", figures.Median(figures.Differences(own, without)))
		}
		fmt.Printf("%-14s %14.1f %8s %10.0f %8s %14s %14s %10.1f %9d\n", v.name, figures.Median(v.micros), cpuRatio, figures.Median(v.rates),
			rateRatio, more(v.envoy, none.envoy, envoy), more(v.waits, none.waits, waits), float64(v.rss)/(1<<20), v.requests)
	}
	fmt.Println("\n" + strings.Join(goals, "\n"))
}

func goal(what string, bound, got float64, least bool) string {
	verdict := "miss"
	if got <= bound && !least || got >= bound && least {
		verdict = "ok"
	}
	return fmt.Sprintf("%-44s %5.2f  measured %5.2f  %s", what, bound, got, verdict)
}
