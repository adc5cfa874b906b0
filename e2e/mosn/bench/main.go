// Command bench measures MOSN's own stream filters in MOSN and, by the plugin mosn, in Envoy. Both have the same
// mosn_config.json, the same two cores, the same upstream and the same requests. bench/README.md has how to read the result.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mosn.io/moe/e2e/envoytest"
)

type m = envoytest.M

type settings struct {
	rounds, restarts, conns, streams int
	slice                            time.Duration
	moe, mosn, module, envoy         string
}

func main() {
	var s settings
	flag.IntVar(&s.rounds, "rounds", 5, "how often everything is measured between two restarts")
	flag.IntVar(&s.restarts, "restarts", 3, "how often both are started anew")
	flag.IntVar(&s.conns, "conns", 16, "requests in flight")
	flag.IntVar(&s.streams, "memory", 200_000, "requests with bodies of the memory test; 0 for none")
	flag.DurationVar(&s.slice, "slice", 400*time.Millisecond, "how long each time")
	flag.StringVar(&s.moe, "moe", "", "`path` of the command moe (default: built)")
	flag.StringVar(&s.mosn, "mosn", "", "`path` of MOSN, ./peer (default: built)")
	flag.StringVar(&s.module, "module", "", "`path` of a libmoe.so, ./libmoe (default: built)")
	flag.StringVar(&s.envoy, "envoy", "", "`path` of Envoy (default: the newest in the checkout's .envoy)")
	flag.Parse()
	if err := bench(context.Background(), s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, s settings) error {
	dir, err := os.MkdirTemp("", "mosn-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := s.build(dir); err != nil {
		return err
	}
	up, err := startUpstream()
	if err != nil {
		return err
	}
	defer up.Close()
	fmt.Printf("%s; %s; %d restarts of %d rounds of %v; %d requests in flight; load average before %s\n\n",
		time.Now().UTC().Format("2006-01-02 15:04 MST"), filepath.Base(filepath.Dir(s.envoy)), s.restarts, s.rounds, s.slice,
		s.conns, load())
	r := results{}
	for restart := range s.restarts {
		p, err := startProxies(dir, s, up.addr)
		if err != nil {
			return err
		}
		err = r.measure(ctx, p, s, restart)
		p.stop()
		if err != nil {
			return err
		}
	}
	r.print(os.Stdout)
	fmt.Printf("\nload average after: %s\n", load())
	if s.streams == 0 {
		return nil
	}
	p, err := startProxies(dir, s, up.addr)
	if err != nil {
		return err
	}
	defer p.stop()
	return memory(ctx, p, s)
}

// build builds what was not given.
func (s *settings) build(dir string) error {
	root, err := envoytest.Root()
	if err != nil {
		return err
	}
	here := filepath.Join(root, "e2e", "mosn")
	for _, b := range []struct {
		to   *string
		dir  string
		args []string
	}{
		{&s.moe, root, []string{"./cmd/moe"}},
		{&s.mosn, here, []string{"./peer"}},
		{&s.module, here, []string{"-buildmode=c-shared", "./libmoe"}},
	} {
		if *b.to != "" {
			continue
		}
		*b.to = filepath.Join(dir, filepath.Base(b.args[len(b.args)-1])+".built")
		cmd := exec.Command("go", append([]string{"build", "-o", *b.to}, b.args...)...)
		cmd.Dir, cmd.Stderr = b.dir, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(cmd.Args, " "), err)
		}
	}
	if s.envoy == "" {
		found, err := filepath.Glob(filepath.Join(root, ".envoy", "*", "envoy"))
		if err != nil || len(found) == 0 {
			return fmt.Errorf("no Envoy in %s: run make envoy, or name one with -envoy", filepath.Join(root, ".envoy"))
		}
		s.envoy = slices.Max(found)
	}
	return nil
}

// measure loads everything once a round, in an order that changes.
func (r results) measure(ctx context.Context, p *proxies, s settings, restart int) error {
	rng := rand.New(rand.NewPCG(uint64(restart), 1))
	for range s.rounds {
		round := map[key]sample{}
		all := p.targets()
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, t := range all {
			one, err := t.load(ctx, s)
			if err != nil {
				return fmt.Errorf("%s in %s: %w", t.workload.name, t.key.proxy, err)
			}
			round[t.key] = one
		}
		for k, one := range round {
			r[k] = append(r[k], one)
		}
	}
	return nil
}

func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}
