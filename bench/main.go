// Command bench measures what HTTP filters cost an Envoy: the CPU time of its worker per request, side by side for
// filters of several kinds that do the same work. README.md says how, and how to read the result.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"mosn.io/moe/internal/envoy"
)

// settings are a run's flags.
type settings struct {
	Envoy    string        `json:"-"`
	Match    string        `json:"variants"`
	Launches int           `json:"launches"`
	Rounds   int           `json:"rounds"`
	Slice    time.Duration `json:"slice"`
	Conns    int           `json:"connections"`
	Depth    int           `json:"pipelined"`
	Extra    int           `json:"extraHeaders"`
	Same     bool          `json:"sameHeaders"`
	Upstream bool          `json:"upstream"`
	Memory   int           `json:"memoryRequests"`
	Count    int           `json:"callgrindRequests"`
	Cache    bool          `json:"cacheSimulation"`
	Dumps    string        `json:"-"`
	JSON     string        `json:"-"`
	Modules  string        `json:"-"`
}

func (s settings) String() string {
	headers, from := "distinct", "Envoy itself"
	if s.Same {
		headers = "the same"
	}
	if s.Upstream {
		from = "an upstream"
	}
	how := fmt.Sprintf("CPU time: median of %d launches of %d interleaved rounds of %v; %d connections × %d requests",
		s.Launches, s.Rounds, s.Slice, s.Conns, s.Depth)
	if s.Count > 0 {
		how = fmt.Sprintf("instructions by callgrind: mean of %d requests", s.Count)
		if s.Cache {
			how += ", with misses of the caches that it simulates"
		}
	}
	return fmt.Sprintf("%s; ten filters set %s headers; %d further request headers; responses from %s",
		how, headers, s.Extra, from)
}

func flags() settings {
	var s settings
	flag.StringVar(&s.Envoy, "envoy", "", "Envoy's `path` (default: $ENVOY, else the checkout's .envoy, else PATH)")
	flag.StringVar(&s.Match, "variants", ".", "measure the variants whose names match this `regexp`")
	flag.IntVar(&s.Launches, "launches", 10, "how often every Envoy is started anew; a goal takes 6 to be decided")
	flag.IntVar(&s.Rounds, "rounds", 4, "how often every variant is measured in a launch")
	flag.DurationVar(&s.Slice, "slice", 300*time.Millisecond, "how long each time")
	flag.IntVar(&s.Conns, "conns", 8, "connections")
	flag.IntVar(&s.Depth, "pipeline", 1, "requests that each connection sends in one piece; Envoy answers 2 at most")
	flag.IntVar(&s.Extra, "extra-headers", 0, "further request headers that no filter reads")
	flag.BoolVar(&s.Same, "same-headers", false, "ten filters all set the same headers")
	flag.BoolVar(&s.Upstream, "upstream", false, "responses come from an upstream, a second Envoy")
	flag.IntVar(&s.Memory, "memory", 100_000, "requests of the memory test; 0 for none")
	flag.IntVar(&s.Count, "callgrind", 0, "instead of all else, count instructions under valgrind for so many requests")
	flag.BoolVar(&s.Cache, "cache", false, "with -callgrind: count misses of its simulated caches, too; three times as slow")
	flag.StringVar(&s.Dumps, "dumps", "", "with -callgrind: keep what it writes in this `folder`, for callgrind_annotate")
	flag.StringVar(&s.JSON, "json", "", "write the results to this `file`; default build/bench/results.json")
	flag.StringVar(&s.Modules, "modules", "", "use the modules in this `folder`, as they are (default: build them)")
	flag.Parse()
	return s
}

func main() {
	s := flags()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func progress(s string) { fmt.Fprintln(os.Stderr, time.Now().Format("15:04:05"), s) }

func bench(ctx context.Context, s settings) error {
	match, err := regexp.Compile(s.Match)
	if err != nil {
		return fmt.Errorf("-variants: %w", err)
	}
	if s.Launches < 1 || s.Rounds < 1 || s.Slice < 10*time.Millisecond || s.Conns < 1 || s.Depth < 1 {
		return errors.New("a run needs a launch, a round, a slice of 10ms, a connection and a request at least")
	}
	if s.Count > 0 && s.Upstream {
		return errors.New("-callgrind and -upstream don't go together")
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	path, err := envoy.Find(s.Envoy)
	if err != nil {
		return err
	}
	names := setHeaders{distinct: !s.Same}
	vs, ms := choose(variants(names), match), choose(memoryVariants(), match)
	if s.Memory == 0 || s.Count > 0 {
		ms = nil
	}
	out := filepath.Join(root, "build", "bench")
	if s.Modules == "" {
		s.Modules = out
		progress("building modules")
		if err := build(ctx, root, out, append(vs[:len(vs):len(vs)], ms...)); err != nil {
			return err
		}
	}
	h := &host{envoy: path, modules: s.Modules, names: names}
	r := &report{Machine: thisMachine(ctx, root, path), Settings: s}
	err = errors.Join(r.fill(ctx, h, s, vs, ms), h.stop())
	if err != nil {
		return err
	}
	r.print(os.Stdout)
	if s.JSON == "" {
		s.JSON = filepath.Join(out, "results.json")
	}
	p, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.JSON), 0o755); err != nil {
		return err
	}
	return os.WriteFile(s.JSON, append(p, '\n'), 0o644)
}

// fill runs the measurements of a report.
func (r *report) fill(ctx context.Context, h *host, s settings, vs, ms []variant) (err error) {
	if s.Count > 0 {
		vs = slices.DeleteFunc(vs, func(v variant) bool { return v.name == proxied }) // under valgrind there is no upstream
		r.Counts, err = count(ctx, h, vs, s, progress)
		cost := costs{}
		for _, c := range r.Counts {
			cost[c.Name] = variantCost{over: []float64{c.Over}, whole: []float64{c.Worker}}
		}
		r.Goals = judge(cost, true)
		return err
	}
	var subjects []*subject
	for _, v := range vs {
		subjects = append(subjects, &subject{variant: v})
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range s.Launches {
		err := launchAll(ctx, h, s, subjects, rng)
		if err := errors.Join(err, h.stop()); err != nil {
			return err
		}
		progress(fmt.Sprintf("launch %d of %d", n+1, s.Launches))
	}
	r.Variants = rows(subjects)
	r.Goals = judge(costsOf(subjects), false)
	if len(ms) == 0 {
		return nil
	}
	r.Memory, err = memory(ctx, h, ms, s.Memory, s.Conns, progress)
	return err
}

// launchAll starts an Envoy for each subject, in any order, and measures them.
func launchAll(ctx context.Context, h *host, s settings, subjects []*subject, rng *rand.Rand) error {
	upstream := 0
	if s.Upstream || slices.ContainsFunc(subjects, func(s *subject) bool { return s.forward }) {
		p, err := h.start(ctx, variant{name: "upstream", forward: true}, 0, false)
		if err != nil {
			return err
		}
		upstream = p.port
	}
	for _, i := range rng.Perm(len(subjects)) {
		v := subjects[i]
		p, err := h.start(ctx, v.variant, upstream, s.Upstream || v.forward)
		if err != nil {
			return err
		}
		c, err := dial(p.port, s.Conns, s.Depth, 64<<10, get(pathLoad, s.Extra, v.fields...), nil)
		if err != nil {
			return err
		}
		defer c.close()
		c.vary(v.consumers)
		v.begins(p, c)
	}
	return measure(ctx, subjects, s.Rounds, s.Slice, rng)
}

// moduleRoot returns the folder of the main module.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := run(ctx, ".", "go", "list", "-m", "-f", "{{.Dir}}")
	return strings.TrimSpace(out), err
}
