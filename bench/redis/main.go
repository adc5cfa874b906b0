// Command redis measures rate limits that several Envoys share by Redis: the plugin ratelimit beside Envoy's own filter and
// its service, github.com/envoyproxy/ratelimit, on the same Redis, by requests per second, by how much longer a client waits
// than without a limit, and by what all processes but the client take of the processor.
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
	length := flag.Duration("round", 500*time.Millisecond, "how long each variant is measured in a round")
	conns := flag.Int("connections", 16, "connections")
	module := flag.String("module", "build/libmoe.so", "the dynamic module, as make libmoe builds it")
	flag.Parse()
	if err := run(*module, *rounds, *length, *conns); err != nil {
		fmt.Fprintln(os.Stderr, "redis:", err)
		os.Exit(1)
	}
}

func run(module string, rounds int, length time.Duration, conns int) error {
	binary, err := envoy.Find("")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "moe-bench-redis-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	redis, err := startRedis(dir)
	if err != nil {
		return err
	}
	defer redis.stop()
	service, err := startService(dir, redis.addr)
	if err != nil {
		return err
	}
	defer service.stop()
	all := variants()
	upstream, err := freeAddr()
	if err != nil {
		return err
	}
	config, err := config(all, redis.addr, service.addr, upstream)
	if err != nil {
		return err
	}
	ctx := context.Background()
	p, err := envoy.Start(ctx, envoy.Options{
		Path: binary, Config: config, Module: module, Concurrency: 1, LogLevel: "warning", Log: os.Stderr, Stdout: os.Stderr,
	})
	if err != nil {
		return err
	}
	defer p.Stop()
	pids := []int{p.Pid(), redis.cmd.Process.Pid, service.cmd.Process.Pid}
	for _, v := range all {
		if v.addr, err = p.Listener(ctx, v.name); err != nil {
			return err
		}
		if err := v.check(redis, conns); err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
	}
	for i := range rounds {
		for j := range all {
			v := all[(i+j)%len(all)] // in another order each time
			if err := v.measure(pids, conns, length); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
		}
	}
	report(all)
	return nil
}

// check warms v up, and sees that its requests are counted in Redis, and a round trip is made for each where one should be.
func (v *variant) check(redis *process, conns int) error {
	before, err := commands(redis.addr)
	if err != nil {
		return err
	}
	n, err := load(v.addr, conns, 300*time.Millisecond)
	if err != nil {
		return err
	}
	after, err := commands(redis.addr)
	if err != nil {
		return err
	}
	calls := after - before
	switch {
	case v.limits && calls == 0:
		return fmt.Errorf("%d requests and no call of Redis: nothing is counted", n)
	case v.each && calls < int64(n):
		return fmt.Errorf("%d requests and %d calls of Redis, want one for each", n, calls)
	}
	return nil
}

func (v *variant) measure(pids []int, conns int, length time.Duration) error {
	before, err := figures.CPU(pids...)
	if err != nil {
		return err
	}
	start := time.Now()
	n, err := load(v.addr, conns, length)
	if err != nil {
		return err
	}
	took := time.Since(start)
	after, err := figures.CPU(pids...)
	if err != nil {
		return err
	}
	v.waits = append(v.waits, took.Seconds()*1e6*float64(conns)/float64(n))
	v.micros = append(v.micros, float64((after-before).Nanoseconds())/1000/float64(n))
	v.rates = append(v.rates, float64(n)/took.Seconds())
	return nil
}

// least is how many times the service's requests per second the plugin must serve, and how many times less latency it may add.
const least = 2

func report(all []*variant) {
	none, service := all[0], all[1]
	fmt.Printf("| %-14s | %8s | %6s | %12s | %6s | %10s |\n|---|---|---|---|---|---|\n", "variant", "req/s", "×", "latency µs", "×", "CPU µs/req")
	var goals []string
	for _, v := range all {
		rates, waits, rate, wait := figures.Median(v.rates), fmt.Sprintf("%.0f", figures.Median(v.waits)), "", ""
		if v != none {
			waits = fmt.Sprintf("%+.0f", figures.Median(figures.Differences(v.waits, none.waits)))
			r := figures.Median(figures.Ratios(v.rates, service.rates))
			w := figures.Median(figures.Differences(service.waits, none.waits)) / max(figures.Median(figures.Differences(v.waits, none.waits)), 0.1)
			rate, wait = fmt.Sprintf("%.2f", r), fmt.Sprintf("%.2f", 1/w)
			if v != service {
				goals = append(goals, goal(v.name+" / service, requests per second", r), goal("service / "+v.name+", added latency", w))
			}
		}
		fmt.Printf("| %-14s | %8.0f | %6s | %12s | %6s | %10.1f |\n", v.name, rates, rate, waits, wait, figures.Median(v.micros))
	}
	fmt.Println("\n" + strings.Join(goals, "\n"))
}

func goal(what string, got float64) string {
	verdict := "missed"
	if got >= least {
		verdict = "met"
	}
	return fmt.Sprintf("%-46s at least %d, measured %.2f: %s", what, least, got, verdict)
}
