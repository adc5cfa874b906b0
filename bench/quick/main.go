// Command quick is a guard for CI: it counts what a request costs the chain in instructions and allocations, which repeat
// where times do not, and fails if that is more than what recorded.json says. `go run ./bench/quick -record` writes that
// file anew, for a change that is worth its price.
//
// Instructions are counted by callgrind, where valgrind is installed, and hold for the version of Go that made the code.
// Where either is not as recorded, only allocations are compared, and the output says so.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// file has what was recorded; paths are those of the module's root.
const file = "bench/quick/recorded.json"

// packages are those whose benchmarks are counted; those called Crossing are the host's, which includes the chain and an
// Envoy that a test plays.
const (
	ofChain = "./framework/chain"
	ofHost  = "./framework/host/dynmod/internal/fakeenvoy"
)

func packageOf(benchmark string) string {
	if strings.HasPrefix(benchmark, "Crossing") {
		return ofHost
	}
	return ofChain
}

// Runs of a benchmark: what the process itself costs goes out of the difference.
const (
	few  = 2000
	many = 12000
)

// tolerance is how much more a request may cost than recorded.
const tolerance = 0.03

// cost is what one request costs.
type cost struct {
	Instructions float64 `json:"instructions"`
	Allocations  int     `json:"allocations"`
}

// record is the content of the file.
type record struct {
	Go         string          `json:"go"` // version and architecture
	Benchmarks map[string]cost `json:"benchmarks"`
}

func main() {
	write := flag.Bool("record", false, "write what is counted to "+file)
	flag.Parse()
	if err := run(*write); err != nil {
		fmt.Fprintln(os.Stderr, "bench/quick:", err)
		os.Exit(1)
	}
}

func run(write bool) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("to be run in the root of the module: %w", err)
	}
	var recorded record
	if err := json.Unmarshal(text, &recorded); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	dir, err := os.MkdirTemp("", "moe-bench-quick-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binaries := map[string]string{}
	for _, of := range []string{ofChain, ofHost} {
		binaries[of] = filepath.Join(dir, filepath.Base(of)+".test")
		if out, err := exec.Command("go", "test", "-c", "-o", binaries[of], of).CombinedOutput(); err != nil {
			return fmt.Errorf("go test -c: %w\n%s", err, out)
		}
	}
	now := record{Go: runtime.Version() + " " + runtime.GOARCH, Benchmarks: map[string]cost{}}
	valgrind, missing := exec.LookPath("valgrind")
	if write && missing != nil {
		return fmt.Errorf("-record: %w", missing)
	}
	for name := range recorded.Benchmarks {
		c, binary := cost{}, binaries[packageOf(name)]
		if c.Allocations, err = allocations(binary, name); err != nil {
			return err
		}
		if missing == nil {
			if c.Instructions, err = instructions(valgrind, binary, name); err != nil {
				return err
			}
		}
		now.Benchmarks[name] = c
	}
	if write {
		text, err := json.MarshalIndent(now, "", "  ")
		if err != nil {
			return err
		}
		return os.WriteFile(file, append(text, '\n'), 0o644)
	}
	counted := missing == nil && now.Go == recorded.Go
	switch {
	case missing != nil:
		fmt.Println("instructions are not compared: valgrind is not installed")
	case !counted:
		fmt.Printf("instructions are not compared: this is %s, recorded is %s\n", now.Go, recorded.Go)
	}
	var all []error
	for _, name := range slices.Sorted(maps.Keys(now.Benchmarks)) {
		was, is := recorded.Benchmarks[name], now.Benchmarks[name]
		if counted {
			fmt.Printf("%-14s %7.0f instructions, recorded %7.0f (%+.1f %%); ", name, is.Instructions, was.Instructions,
				100*(is.Instructions/was.Instructions-1))
		} else {
			fmt.Printf("%-14s ", name)
		}
		fmt.Printf("%d allocations, recorded %d\n", is.Allocations, was.Allocations)
		all = append(all, compare(name, was, is, counted))
	}
	return errors.Join(all...)
}

// compare returns what is too much.
func compare(name string, was, is cost, counted bool) error {
	var all []error
	if is.Allocations > was.Allocations {
		all = append(all, fmt.Errorf("%s: %d allocations, recorded are %d", name, is.Allocations, was.Allocations))
	}
	if most := was.Instructions * (1 + tolerance); counted && is.Instructions > most {
		all = append(all, fmt.Errorf("%s: %.0f instructions, recorded are %.0f and at most %.0f allowed",
			name, is.Instructions, was.Instructions, most))
	}
	return errors.Join(all...)
}

// command runs the benchmark n times on one processor, without the collector, which comes when it likes.
func command(name string, n int, program ...string) *exec.Cmd {
	args := append(program, "-test.run", "^$", "-test.bench", "^Benchmark"+name+"$", "-test.benchtime", fmt.Sprint(n, "x"))
	c := exec.Command(args[0], args[1:]...)
	c.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1")
	return c
}

var allocs = regexp.MustCompile(`\b(\d+) allocs/op`)

func allocations(binary, name string) (int, error) {
	out, err := command(name, many, binary).CombinedOutput()
	m := allocs.FindSubmatch(out)
	if err != nil || m == nil {
		return 0, fmt.Errorf("%s: no allocations in its output: %w\n%s", name, err, out)
	}
	return strconv.Atoi(string(m[1]))
}

var collected = regexp.MustCompile(`Collected : (\d+)`)

func instructions(valgrind, binary, name string) (float64, error) {
	var counts [2]float64
	for i, n := range []int{few, many} {
		out, err := command(name, n, valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null", binary).CombinedOutput()
		m := collected.FindSubmatch(out)
		if err != nil || m == nil {
			return 0, fmt.Errorf("%s: no count in callgrind's output: %w\n%s", name, err, out)
		}
		if counts[i], err = strconv.ParseFloat(string(m[1]), 64); err != nil {
			return 0, err
		}
	}
	return (counts[1] - counts[0]) / (many - few), nil
}
