package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// machine describes where a report was made, and with what.
type machine struct {
	Time   time.Time `json:"time"`
	CPU    string    `json:"cpu"`
	Cores  int       `json:"cores"`
	Kernel string    `json:"kernel"`
	Go     string    `json:"go"`
	Envoy  string    `json:"envoy"`
	Commit string    `json:"commit"`
}

func (m machine) String() string {
	return fmt.Sprintf("%s; %d × %s; Linux %s; %s; Envoy %s; commit %s",
		m.Time.Format("2006-01-02 15:04 MST"), m.Cores, m.CPU, m.Kernel, m.Go, m.Envoy, m.Commit)
}

// thisMachine describes this machine. What it cannot find out it leaves empty, because no result depends on it.
func thisMachine(ctx context.Context, root, envoy string) machine {
	m := machine{Time: time.Now().UTC(), Cores: runtime.NumCPU(), Go: runtime.Version(), CPU: cpuModel()}
	var u syscall.Utsname
	if syscall.Uname(&u) == nil {
		var b []byte
		for _, c := range u.Release {
			if c == 0 {
				break
			}
			b = append(b, byte(c))
		}
		m.Kernel = string(b)
	}
	if out, err := run(ctx, root, envoy, "--version"); err == nil {
		m.Envoy = envoyVersion(out)
	}
	if out, err := run(ctx, root, "git", "describe", "--always", "--dirty"); err == nil {
		m.Commit = strings.TrimSpace(out)
	}
	return m
}

// envoyVersion finds the version between the slashes of "envoy  version: COMMIT/VERSION/Clean/RELEASE/BoringSSL".
func envoyVersion(out string) string {
	_, rest, _ := strings.Cut(out, "version: ")
	f := strings.Split(strings.TrimSpace(rest), "/")
	if len(f) < 2 {
		return strings.TrimSpace(rest)
	}
	return f[1]
}

func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if k, v, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return runtime.GOARCH
}
