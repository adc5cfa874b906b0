package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// countRow is how many instructions a variant's Envoy executes for a request, outside of the kernel. Unlike times these
// hardly depend on what else the machine does, and hardly say how long an instruction takes.
type countRow struct {
	Name   string  `json:"name"`
	What   string  `json:"what"`
	Worker float64 `json:"worker"`
	Over   float64 `json:"overNone"`
	Others float64 `json:"othersOverNone"`
	Misses *misses `json:"misses,omitempty"` // of the worker
}

// misses are those of the caches that callgrind simulates, for a request: of the first level, for instructions and for
// data, and of the last one.
type misses struct {
	Code float64 `json:"code"`
	Data float64 `json:"data"`
	Last float64 `json:"lastLevel"`
}

// count runs each variant's Envoy under valgrind's callgrind, one after the other, for n requests on one connection.
func count(ctx context.Context, h *host, vs []variant, s settings, progress func(string)) ([]countRow, error) {
	dir, err := dumpFolder(s.Dumps)
	if err != nil {
		return nil, err
	}
	if s.Dumps == "" {
		defer os.RemoveAll(dir)
	}
	script, err := callgrindScript(dir, h.envoy, s.Cache)
	if err != nil {
		return nil, err
	}
	under := &host{
		envoy: script, modules: h.modules, names: h.names, timeout: 10 * time.Minute,
		// Go's signals for pre-emption are too much for valgrind.
		godebug: []string{"asyncpreemptoff=1"},
	}
	var out []countRow
	for _, v := range vs {
		row, err := countOne(ctx, under, v, dir, s)
		if err != nil {
			under.stop()
			return nil, fmt.Errorf("%s: %w", v.name, err)
		}
		if v.name != none {
			base := baseOf(v, out, func(r countRow) string { return r.Name })
			row.Over, row.Others = row.Worker-base.Worker, row.Others-base.Others
		}
		out = append(out, row)
		progress(v.name)
		if err := under.stop(); err != nil {
			return nil, fmt.Errorf("%s: %w", v.name, err)
		}
	}
	out[0].Others = 0
	return out, nil
}

// dumpFolder returns the absolute path of the folder in which callgrind's files stay, or of a new one where kept is empty.
func dumpFolder(kept string) (string, error) {
	if kept == "" {
		return os.MkdirTemp("", "moe-bench-")
	}
	dir, err := filepath.Abs(kept)
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// callgrindScript writes a program that runs Envoy, with the arguments it is given, in its own process under valgrind.
func callgrindScript(dir, envoy string, cache bool) (string, error) {
	valgrind, err := exec.LookPath("valgrind")
	if err != nil {
		return "", fmt.Errorf("-callgrind: %w", err)
	}
	path := filepath.Join(dir, "envoy")
	simulate := "no"
	if cache {
		simulate = "yes"
	}
	text := fmt.Sprintf("#!/bin/sh\nexec %q --tool=callgrind --cache-sim=%s --separate-threads=yes --callgrind-out-file=%q %q \"$@\"\n",
		valgrind, simulate, filepath.Join(dir, "out.%p"), envoy)
	return path, os.WriteFile(path, []byte(text), 0o755)
}

func countOne(ctx context.Context, h *host, v variant, dir string, s settings) (countRow, error) {
	row := countRow{Name: v.name, What: v.what}
	p, err := h.start(ctx, v, 0, false)
	if err != nil {
		return row, err
	}
	c, err := dial(p.port, 1, 1, 16<<10, get(pathLoad, s.Extra, v.fields...), nil)
	if err != nil {
		return row, err
	}
	defer c.close()
	if _, err := c.run(up(ctx, s.Count/2)); err != nil {
		return row, err
	}
	pid := strconv.Itoa(p.Pid())
	if _, err := run(ctx, dir, "callgrind_control", "--zero", pid); err != nil {
		return row, err
	}
	done, err := c.run(up(ctx, s.Count))
	if err != nil {
		return row, err
	}
	if _, err := run(ctx, dir, "callgrind_control", "--dump", pid); err != nil {
		return row, err
	}
	dumped := filepath.Join(dir, "out."+pid+".1")
	if s.Dumps != "" {
		if dumped, err = nameDumps(dumped, filepath.Join(dir, v.name)); err != nil {
			return row, err
		}
	}
	worker, others, err := readCounts(dumped + "-*")
	row.Worker, row.Others = worker.instructions/float64(done), others/float64(done)
	if m := worker.misses; m != nil {
		row.Misses = &misses{Code: m.Code / float64(done), Data: m.Data / float64(done), Last: m.Last / float64(done)}
	}
	return row, err
}

// nameDumps renames the files of a dump, one for each thread, so that their names begin with to, which it returns.
func nameDumps(from, to string) (string, error) {
	files, err := filepath.Glob(from + "-*")
	if err != nil {
		return "", err
	}
	for _, f := range files {
		if err := os.Rename(f, to+strings.TrimPrefix(f, from)); err != nil {
			return "", err
		}
	}
	return to, nil
}

// readCounts returns the instructions of the busiest thread and of all others, from the files of one dump.
func readCounts(pattern string) (worker totals, others float64, err error) {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return worker, 0, err
	}
	for _, f := range files {
		p, err := os.ReadFile(f)
		if err != nil {
			return worker, 0, err
		}
		t, err := parseTotals(p)
		if err != nil {
			return worker, 0, fmt.Errorf("%s: %w", f, err)
		}
		if t.instructions > worker.instructions {
			worker, t = t, worker
		}
		others += t.instructions
	}
	if worker.instructions == 0 {
		return worker, 0, fmt.Errorf("callgrind has written nothing to %s", pattern)
	}
	return worker, others, nil
}

// totals are what one thread has done.
type totals struct {
	instructions float64
	misses       *misses // nil without a simulation of caches
}

// parseTotals reads the line "totals: N …", whose numbers are in the order of the line "events: Ir …". Without the latter
// there is one number, of instructions.
func parseTotals(p []byte) (totals, error) {
	events := []string{"Ir"}
	for line := range bytes.Lines(p) {
		if names, ok := strings.CutPrefix(string(line), "events: "); ok {
			events = strings.Fields(names)
		}
		numbers, ok := strings.CutPrefix(string(line), "totals: ")
		if !ok {
			continue
		}
		byName := map[string]float64{}
		for i, n := range strings.Fields(numbers) { // zeros at the end are left out
			v, err := strconv.ParseFloat(n, 64)
			if err != nil || i >= len(events) {
				return totals{}, fmt.Errorf("totals: %q does not fit the events %q", numbers, events)
			}
			byName[events[i]] = v
		}
		t := totals{instructions: byName["Ir"]}
		if len(events) > 1 {
			t.misses = &misses{
				Code: byName["I1mr"], Data: byName["D1mr"] + byName["D1mw"],
				Last: byName["ILmr"] + byName["DLmr"] + byName["DLmw"],
			}
		}
		return t, nil
	}
	return totals{}, fmt.Errorf("no totals")
}
