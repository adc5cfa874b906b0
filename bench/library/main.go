// Command library measures what plugins add to the libraries that do their work: each of the benchmarks below runs the library
// alone, the plugin in the in-memory host, and that host without the plugin, which is taken from what the plugin takes.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func main() {
	rounds := flag.Int("rounds", 6, "rounds, of which the median counts")
	flag.Parse()
	if err := run(*rounds); err != nil {
		fmt.Fprintln(os.Stderr, "library:", err)
		os.Exit(1)
	}
}

// subject is a benchmark with three parts.
type subject struct{ plugin, benchmark, library, does string }

var subjects = []subject{
	{"validate", "Body", "library", "10 KiB of JSON against a JSON Schema"},
	{"transform", "Body", "library", "10 KiB of JSON by a program of jq"},
	{"waf", "Request/GET", "engine", "a GET, Core Rule Set at paranoia 1"},
	{"waf", "Request/POST", "engine", "a form of 10 KiB, Core Rule Set at paranoia 1"},
}

// most is the goal.
const most = 1.2

func run(rounds int) error {
	dir, err := os.MkdirTemp("", "moe-bench-library-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, s := range subjects {
		out, err := exec.Command("go", "test", "-c", "-o", dir+"/"+s.plugin, "./plugins/"+s.plugin).CombinedOutput()
		if err != nil {
			return fmt.Errorf("go test -c ./plugins/%s: %w\n%s", s.plugin, err, out)
		}
	}
	fmt.Println("| plugin | does | library µs | plugin µs | × | quartiles | goal: at most 1.2 |\n|---|---|---|---|---|---|---|")
	for _, s := range subjects {
		var library, plugin, ratios []float64
		for range rounds {
			times, err := s.measure(dir + "/" + s.plugin)
			if err != nil {
				return fmt.Errorf("%s: %w", s.plugin, err)
			}
			own := times["plugin"] - times["host"]
			library, plugin, ratios = append(library, times[s.library]), append(plugin, own), append(ratios, own/times[s.library])
		}
		low, middle, high := quartiles(ratios)
		verdict := "undecided"
		switch {
		case high <= most:
			verdict = "met"
		case low > most:
			verdict = "missed"
		}
		_, l, _ := quartiles(library)
		_, p, _ := quartiles(plugin)
		fmt.Printf("| %s | %s | %.0f | %.0f | %.2f | %.2f … %.2f | %s |\n", s.plugin, s.does, l/1000, p/1000, middle, low, high, verdict)
	}
	return nil
}

var line = regexp.MustCompile(`(?m)^Benchmark\S*/(\w+)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op`)

// measure runs the parts one after the other, and returns the nanoseconds of each.
func (s subject) measure(binary string) (map[string]float64, error) {
	out, err := exec.Command(binary, "-test.run", "^$", "-test.bench", s.benchmark+"/", "-test.benchtime", "500ms", "-test.cpu", "1").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	times := map[string]float64{}
	for _, m := range line.FindAllStringSubmatch(string(out), -1) {
		if times[m[1]], err = strconv.ParseFloat(m[2], 64); err != nil {
			return nil, err
		}
	}
	for _, part := range []string{s.library, "plugin", "host"} {
		if times[part] == 0 {
			return nil, fmt.Errorf("no result of %s:\n%s", part, strings.TrimSpace(string(out)))
		}
	}
	return times, nil
}

func quartiles(all []float64) (low, middle, high float64) {
	all = slices.Clone(all)
	slices.Sort(all)
	n := len(all) - 1
	return all[n/4], all[n/2], all[n-n/4]
}
