package mosn

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/upstream"
)

type m = envoytest.M

// peer is a running MOSN with a listener for each configuration.
type peer struct {
	up    *upstream.Server
	addrs map[string]string // of the listeners, by the configurations' names
}

// startPeer starts MOSN with all configurations.
func startPeer(binary, dir string, all []configuration) (*peer, func(), error) {
	up, err := upstream.Start()
	if err != nil {
		return nil, nil, err
	}
	p := &peer{up: up, addrs: map[string]string{}}
	var listeners, routers []any
	for _, c := range all {
		addr, err := freeAddr()
		if err != nil {
			return nil, nil, err
		}
		p.addrs[c.name] = addr
		listeners = append(listeners, c.mosnListener(addr))
		routers = append(routers, c.mosnRouter())
	}
	text, err := json.MarshalIndent(m{
		"close_graceful": true,
		"servers": []any{m{
			"default_log_path": filepath.Join(dir, "mosn.log"), "default_log_level": "WARN",
			"routers": routers, "listeners": listeners,
		}},
		"cluster_manager": m{"clusters": []any{m{
			"name": "up", "type": "SIMPLE", "lb_type": "LB_RANDOM", "hosts": []any{m{"address": up.Addr}},
		}}},
	}, "", " ")
	if err != nil {
		return nil, nil, err
	}
	file := filepath.Join(dir, "mosn_config.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(binary, "start", "-c", file)
	out, err := os.Create(filepath.Join(dir, "mosn.out"))
	if err != nil {
		return nil, nil, err
	}
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	stop := func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		up.Close()
	}
	for _, addr := range p.addrs {
		if err := accepts(addr); err != nil {
			stop()
			said, _ := os.ReadFile(out.Name())
			return nil, nil, fmt.Errorf("MOSN does not come up: %w\n%s", err, said)
		}
	}
	return p, stop, nil
}

// mosnListener is the configuration's listener in mosn_config.json.
func (c configuration) mosnListener(addr string) m {
	return m{
		"name": c.name, "address": addr, "bind_port": true, "stream_filters": c.list(),
		"filter_chains": []any{m{"filters": []any{m{"type": "proxy", "config": m{
			"downstream_protocol": "Auto", "upstream_protocol": "Auto", "router_config_name": c.name,
		}}}}},
	}
}

// mosnRouter is the configuration's router.
func (c configuration) mosnRouter() m {
	var routes []any
	for _, r := range c.routes {
		routes = append(routes, m{
			"match": m{"prefix": r.prefix}, "route": m{"cluster_name": "up"}, "per_filter_config": parsed(r.perFilter),
		})
	}
	routes = append(routes, m{"match": m{"prefix": "/"}, "route": m{"cluster_name": "up"}})
	return m{"router_config_name": c.name, "virtual_hosts": []any{m{
		"name": c.name, "domains": []any{"*"}, "routers": routes,
	}}}
}

// freeAddr returns an address that nobody listens on.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// accepts waits until somebody listens on addr.
func accepts(addr string) (err error) {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var c net.Conn
		if c, err = net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
	}
	return err
}

// built returns what the environment names, or compiles one of this module's commands.
func built(t testing.TB, variable, folder, output string, flags ...string) string {
	t.Helper()
	if given := os.Getenv(variable); given != "" {
		return given
	}
	out := filepath.Join(t.TempDir(), output)
	cmd := exec.Command("go", append(append([]string{"build", "-o", out}, flags...), "./"+folder)...)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build ./%s: %v\n%s", folder, err, text)
	}
	return out
}
