package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// process is a server on this machine.
type process struct {
	addr string
	cmd  *exec.Cmd
}

func (p *process) stop() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// start starts a server and waits until it listens at addr.
func start(addr string, cmd *exec.Cmd) (*process, error) {
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{addr, cmd}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return p, c.Close()
		}
		if time.Now().After(end) {
			p.stop()
			return nil, fmt.Errorf("%s does not listen: %w", cmd.Path, err)
		}
	}
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func port(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

func startRedis(dir string) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	return start(addr, exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port(addr), "--dir", dir, "--save", "", "--appendonly", "no"))
}

// commands is how many commands Redis has carried out that read or write keys.
func commands(addr string) (n int64, err error) {
	out, err := exec.Command("redis-cli", "-p", port(addr), "info", "commandstats").Output()
	if err != nil {
		return 0, err
	}
	for _, line := range strings.Fields(string(out)) {
		name, rest, _ := strings.Cut(line, ":calls=")
		switch name {
		case "cmdstat_evalsha", "cmdstat_incrby":
			calls, _, _ := strings.Cut(rest, ",")
			k, err := strconv.ParseInt(calls, 10, 64)
			if err != nil {
				return 0, err
			}
			n += k
		}
	}
	return n, nil
}

// serviceVersion is the service's: it has no releases that Go knows.
const serviceVersion = "v1.4.1-0.20260122083618-3fb702589d36"

// limits is the service's configuration: one limit that is never reached.
const limits = `domain: bench
descriptors:
  - key: generic_key
    value: all
    rate_limit: {unit: second, requests_per_unit: 4000000000}
`

// startService builds Envoy's rate limit service, in a module of its own, and starts it with its defaults.
func startService(dir, redis string) (*process, error) {
	binary, err := filepath.Abs("build/bench/ratelimit-" + serviceVersion)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(binary); err != nil {
		if err := buildService(dir, binary); err != nil {
			return nil, err
		}
	}
	root := filepath.Join(dir, "runtime", "ratelimit", "config")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(root, "bench.yaml"), []byte(limits), 0o644); err != nil {
		return nil, err
	}
	var addrs [3]string
	for i := range addrs {
		if addrs[i], err = freeAddr(); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(),
		"USE_STATSD=false", "DISABLE_STATS=true", "LOG_LEVEL=error", "REDIS_SOCKET_TYPE=tcp", "REDIS_URL="+redis, "RUNTIME_WATCH_ROOT=false",
		"RUNTIME_ROOT="+filepath.Join(dir, "runtime"), "RUNTIME_SUBDIRECTORY=ratelimit",
		"HOST=127.0.0.1", "PORT="+port(addrs[0]), "GRPC_HOST=127.0.0.1", "GRPC_PORT="+port(addrs[1]),
		"DEBUG_HOST=127.0.0.1", "DEBUG_PORT="+port(addrs[2]))
	return start(addrs[1], cmd)
}

func buildService(dir, binary string) error {
	module := filepath.Join(dir, "service")
	if err := os.MkdirAll(module, 0o755); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return err
	}
	const path = "github.com/envoyproxy/ratelimit"
	if err := os.WriteFile(filepath.Join(module, "go.mod"), []byte("module service\n\ngo 1.26\n"), 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{{"get", path + "@" + serviceVersion}, {"build", "-o", binary, path + "/src/service_cmd"}} {
		cmd := exec.Command("go", args...)
		cmd.Dir, cmd.Env = module, append(os.Environ(), "GOFLAGS=-mod=mod")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go %v: %w\n%s", args, err, out)
		}
	}
	return nil
}
