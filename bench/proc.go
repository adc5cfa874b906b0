package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const workerName = "wrk:worker_0"

// cpu is CPU time, as the scheduler accounts it: exact for a thread that sleeps.
// The kernel's part of the worker's is coarser: it comes in ticks.
type cpu struct{ worker, kernel, others time.Duration }

func (a cpu) sub(b cpu) cpu {
	return cpu{a.worker - b.worker, a.kernel - b.kernel, a.others - b.others}
}

// findWorker returns the id of the worker's thread. Threads that a Go runtime starts from it take its name over, so it
// is the first of that name.
func findWorker(pid int) (tid int, err error) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return 0, err
	}
	for _, t := range tasks {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return 0, err
		}
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/comm", pid, id))
		if err != nil && !os.IsNotExist(err) {
			return 0, err
		}
		if strings.TrimSpace(string(comm)) == workerName && (tid == 0 || id < tid) {
			tid = id
		}
	}
	if tid == 0 {
		return 0, fmt.Errorf("process %d has no thread %s", pid, workerName)
	}
	return tid, nil
}

// readCPU returns the CPU time of a process, that of thread worker apart from the sum of all others. A thread that ends
// between two readings takes its time with it; Envoy's and Go's threads do not end.
func readCPU(pid, worker int) (cpu, error) {
	var c cpu
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return c, err
	}
	for _, t := range tasks {
		file := fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, t.Name())
		stat, err := os.ReadFile(file)
		if os.IsNotExist(err) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil {
			return c, err
		}
		d, err := parseSchedstat(string(stat))
		if err != nil {
			return c, fmt.Errorf("%s: %w", file, err)
		}
		if t.Name() == strconv.Itoa(worker) {
			c.worker = d
			if c.kernel, err = readKernel(pid, worker); err != nil {
				return c, err
			}
		} else {
			c.others += d
		}
	}
	return c, nil
}

// parseSchedstat returns the first number of a schedstat file, nanoseconds on a CPU.
func parseSchedstat(s string) (time.Duration, error) {
	first, _, _ := strings.Cut(s, " ")
	n, err := strconv.ParseInt(strings.TrimSpace(first), 10, 64)
	return time.Duration(n), err
}

// tick is what the kernel counts its own time in where a file shows it, whatever its clock does.
const tick = time.Second / 100

// readKernel returns how long a thread has been in the kernel.
func readKernel(pid, tid int) (time.Duration, error) {
	p, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/stat", pid, tid))
	if err != nil {
		return 0, err
	}
	return parseStat(string(p))
}

// parseStat finds stime, which is the 13th field behind the name in parentheses.
func parseStat(s string) (time.Duration, error) {
	const stime = 13
	f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	if len(f) < stime {
		return 0, fmt.Errorf("%d fields behind the name, want %d at least", len(f), stime)
	}
	n, err := strconv.ParseInt(f[stime-1], 10, 64)
	return time.Duration(n) * tick, err
}

// rss is a process's memory in bytes: now, and the most since the last resetPeak.
type rss struct{ now, peak int64 }

func readRSS(pid int) (rss, error) {
	p, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return rss{}, err
	}
	return parseRSS(string(p))
}

func parseRSS(status string) (r rss, err error) {
	for line := range strings.Lines(status) {
		key, rest, _ := strings.Cut(line, ":")
		if key != "VmRSS" && key != "VmHWM" {
			continue
		}
		f := strings.Fields(rest)
		if len(f) != 2 || f[1] != "kB" {
			return r, fmt.Errorf("%q is not a number of kB", line)
		}
		n, err := strconv.ParseInt(f[0], 10, 64)
		if err != nil {
			return r, err
		}
		if key == "VmRSS" {
			r.now = n << 10
		} else {
			r.peak = n << 10
		}
	}
	if r.now == 0 || r.peak == 0 {
		return r, fmt.Errorf("no VmRSS and VmHWM")
	}
	return r, nil
}

// resetPeak forgets the highest memory of a process so far.
func resetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}
