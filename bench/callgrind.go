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
}

// count runs each variant's Envoy under valgrind's callgrind, one after the other, for n requests on one connection.
func count(ctx context.Context, h *host, vs []variant, n int, extra int, progress func(string)) ([]countRow, error) {
	dir, err := os.MkdirTemp("", "moe-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	script, err := callgrindScript(dir, h.envoy)
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
		row, err := countOne(ctx, under, v, dir, n, extra)
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

// callgrindScript writes a program that runs Envoy, with the arguments it is given, in its own process under valgrind.
func callgrindScript(dir, envoy string) (string, error) {
	valgrind, err := exec.LookPath("valgrind")
	if err != nil {
		return "", fmt.Errorf("-callgrind: %w", err)
	}
	path := filepath.Join(dir, "envoy")
	text := fmt.Sprintf("#!/bin/sh\nexec %q --tool=callgrind --separate-threads=yes --callgrind-out-file=%q %q \"$@\"\n",
		valgrind, filepath.Join(dir, "out.%p"), envoy)
	return path, os.WriteFile(path, []byte(text), 0o755)
}

func countOne(ctx context.Context, h *host, v variant, dir string, n, extra int) (countRow, error) {
	row := countRow{Name: v.name, What: v.what}
	p, err := h.start(ctx, v, 0, false)
	if err != nil {
		return row, err
	}
	c, err := dial(p.port, 1, 1, 16<<10, get(pathLoad, extra, v.fields...), nil)
	if err != nil {
		return row, err
	}
	defer c.close()
	if _, err := c.run(up(ctx, n/2)); err != nil {
		return row, err
	}
	pid := strconv.Itoa(p.Pid())
	if _, err := run(ctx, dir, "callgrind_control", "--zero", pid); err != nil {
		return row, err
	}
	done, err := c.run(up(ctx, n))
	if err != nil {
		return row, err
	}
	if _, err := run(ctx, dir, "callgrind_control", "--dump", pid); err != nil {
		return row, err
	}
	worker, others, err := readCounts(filepath.Join(dir, "out."+pid+".1-*"))
	row.Worker, row.Others = worker/float64(done), others/float64(done)
	return row, err
}

// readCounts returns the instructions of the busiest thread and of all others, from the files of one dump.
func readCounts(pattern string) (worker, others float64, err error) {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return 0, 0, err
	}
	for _, f := range files {
		p, err := os.ReadFile(f)
		if err != nil {
			return 0, 0, err
		}
		n, err := parseTotals(p)
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %w", f, err)
		}
		worker, others = max(worker, n), others+min(worker, n)
	}
	if worker == 0 {
		return 0, 0, fmt.Errorf("callgrind has written nothing to %s", pattern)
	}
	return worker, others, nil
}

// parseTotals finds the line "totals: N".
func parseTotals(p []byte) (float64, error) {
	for line := range bytes.Lines(p) {
		if number, ok := strings.CutPrefix(string(line), "totals: "); ok {
			return strconv.ParseFloat(strings.TrimSpace(number), 64)
		}
	}
	return 0, fmt.Errorf("no totals")
}
