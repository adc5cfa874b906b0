package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestParseSchedstat(t *testing.T) {
	if d, err := parseSchedstat("123942 96068 2\n"); err != nil || d != 123942 {
		t.Errorf("parseSchedstat(\"123942 96068 2\\n\") = %v and error %v, want 123942", d, err)
	}
	for _, bad := range []string{"", "x 1 2", "1.5 2 3"} {
		t.Run(fmt.Sprintf("%q", bad), func(t *testing.T) {
			if _, err := parseSchedstat(bad); err == nil {
				t.Errorf("%q is accepted", bad)
			}
		})
	}
}

func TestParseStat(t *testing.T) {
	const stat = "7 (a (strange) name) S 1 7 7 0 -1 4194304 100 0 0 0 250 31 0 0 20 0 1 0 1234\n"
	if d, err := parseStat(stat); err != nil || d != 310*time.Millisecond {
		t.Errorf("parseStat(stat) = %v and error %v, want 310ms", d, err)
	}
	for _, bad := range []string{"", "7 (a) S 1 2 3\n", "7 (a) S 1 7 7 0 -1 4194304 100 0 0 0 250 x 0 0\n"} {
		t.Run(fmt.Sprintf("%q", bad), func(t *testing.T) {
			if _, err := parseStat(bad); err == nil {
				t.Errorf("%q is accepted", bad)
			}
		})
	}
}

func TestParseRSS(t *testing.T) {
	const status = "Name:\tenvoy\nVmPeak:\t  900000 kB\nVmHWM:\t   61000 kB\nVmRSS:\t   60000 kB\nThreads:\t4\n"
	if r, err := parseRSS(status); err != nil || r != (rss{60000 << 10, 61000 << 10}) {
		t.Errorf("parseRSS(status) = %+v and error %v, want %+v", r, err, (rss{60000 << 10, 61000 << 10}))
	}
	for _, bad := range []string{"", "VmRSS:\t1 kB\n", "VmRSS:\t1\nVmHWM:\t2 kB\n", "VmRSS:\tx kB\nVmHWM:\t2 kB\n"} {
		t.Run(fmt.Sprintf("%q", bad), func(t *testing.T) {
			if _, err := parseRSS(bad); err == nil {
				t.Errorf("%q is accepted", bad)
			}
		})
	}
}

// This process stands for an Envoy: one of its threads does work that must be found apart from the others'.
func TestReadCPU(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	name, err := os.ReadFile("/proc/thread-self/comm")
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	rename := func(s string) {
		if err := os.WriteFile("/proc/thread-self/comm", []byte(s), 0); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
	}
	pid := os.Getpid()
	if _, err := findWorker(pid); err == nil {
		t.Error("a worker was found where there is none")
	}
	rename(workerName)
	defer rename(strings.TrimSpace(string(name)))
	worker, err := findWorker(pid)
	if err != nil {
		t.Fatalf("findWorker: %v", err)
	}
	before, err := readCPU(pid, worker)
	if err != nil {
		t.Fatalf("readCPU: %v", err)
	}
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
	}
	time.Sleep(settle)
	after, err := readCPU(pid, worker)
	if err != nil {
		t.Fatalf("readCPU: %v", err)
	}
	if used := after.sub(before); used.worker <= 0 || used.others < 0 {
		t.Errorf("used %v", used)
	}
}

func TestReadRSS(t *testing.T) {
	r, err := readRSS(os.Getpid())
	if err != nil || r.now < 1<<20 || r.peak < r.now {
		t.Errorf("%+v: readRSS: %v; r.now = %d, want at least %d; r.peak = %d, want at least %d",
			r, err, r.now, 1<<20, r.peak, r.now)
	}
}
