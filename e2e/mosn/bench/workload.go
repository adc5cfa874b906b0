package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// workload is a listener's filters, and requests that pass them.
type workload struct {
	name    string
	filters string // MOSN's, in JSON
	against string // the workload of MOSN's that Envoy is compared with, if it is not this one: MOSN does not run this one
	plugin  m      // in place of the plugin mosn: what the adapter is compared with
	header  []string
	body    string
}

var ip = []string{"X-Real-Ip", "8.8.8.8"}

var workloads = []workload{
	{name: "no filter", filters: `[]`, header: ip},
	{name: "ip_access", header: ip, filters: ipAccess("false")},
	{name: "ip_access, goroutine", against: "ip_access", header: ip, filters: ipAccess("true")},
	{
		name: "header_to_metadata", header: []string{"X-Version", "v1"},
		filters: `[{"type": "header_to_metadata", "config": {"request_rules": [
			{"header": "x-version", "on_header_present": {"key": "version"}, "remove": true}]}}]`,
	},
	{
		name: "payload_limit", body: strings.Repeat("x", 1<<10),
		filters: `[{"type": "payload_limit", "config": {"max_entity_size ": 100000, "http_status": 413}}]`,
	},
	{name: "plain plugin", against: "ip_access", plugin: plain("plainip"), header: ip},
	{name: "plain plugin, filter.Go", against: "ip_access", plugin: plain("plainipasync"), header: ip},
}

// ipAccess is a list with ip_access, which blocks or does not.
func ipAccess(blocking string) string {
	return `[{"type": "ip_access", "blocking": ` + blocking + `, "config": {"default_action": "allow", "header": "x-real-ip",
		"ips": [{"action": "deny", "addrs": ["10.0.0.0/8", "192.168.0.0/16", "9.9.9.9"]}]}}]`
}

func plain(name string) m {
	return m{"name": name, "config": m{"deny": []any{"10.0.0.0/8", "192.168.0.0/16", "9.9.9.9/32"}}}
}

// proxies are a MOSN and an Envoy, with a listener for each workload.
type proxies struct {
	mosn, envoy *exec.Cmd
	addrs       map[string]map[string]string // by proxy and workload
}

// startProxies starts MOSN with a file, and Envoy with what moe makes of the same file. Both have two threads.
func startProxies(dir string, s settings, upstream string) (*proxies, error) {
	p := &proxies{addrs: map[string]map[string]string{}}
	files := map[string]string{}
	for _, proxy := range []string{"MOSN", "Envoy"} {
		var err error
		p.addrs[proxy] = map[string]string{}
		if files[proxy], err = p.write(dir, proxy, upstream); err != nil {
			return nil, err
		}
	}
	p.mosn = exec.Command(s.mosn, "start", "-c", files["MOSN"])
	p.mosn.Env = append(os.Environ(), "GOMAXPROCS=2")
	if err := p.mosn.Start(); err != nil {
		return nil, err
	}
	config, err := bootstrap(s.moe, files["Envoy"])
	if err != nil {
		p.stop()
		return nil, err
	}
	library := filepath.Join(dir, "libmoe.so")
	if err := os.Symlink(s.module, library); err != nil && !os.IsExist(err) {
		return nil, err
	}
	p.envoy = exec.Command(s.envoy, "-c", config, "--concurrency", "2", "--log-level", "error", "--use-dynamic-base-id")
	p.envoy.Env = append(os.Environ(), "ENVOY_DYNAMIC_MODULES_SEARCH_PATH="+dir)
	p.envoy.Stderr = os.Stderr
	if err := p.envoy.Start(); err != nil {
		p.stop()
		return nil, err
	}
	for _, addrs := range p.addrs {
		for _, addr := range addrs {
			if err := accepts(addr); err != nil {
				p.stop()
				return nil, err
			}
		}
	}
	return p, nil
}

// write writes a mosn_config.json with the workloads that a proxy has.
func (p *proxies) write(dir, proxy, upstream string) (string, error) {
	var listeners, routers []any
	for _, w := range workloads {
		if w.against != "" && proxy == "MOSN" {
			continue
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		addr := ln.Addr().String()
		ln.Close()
		p.addrs[proxy][w.name] = addr
		l := m{"name": w.name, "address": addr, "bind_port": true, "filter_chains": []any{m{"filters": []any{m{
			"type": "proxy", "config": m{"downstream_protocol": "Auto", "upstream_protocol": "Auto", "router_config_name": w.name},
		}}}}}
		var filters []any
		if w.plugin != nil { // a place for it, which bootstrap fills
			filters = []any{m{"type": "ip_access", "config": m{}}}
		} else if err := json.Unmarshal([]byte(w.filters), &filters); err != nil {
			return "", err
		}
		l["stream_filters"] = filters
		listeners = append(listeners, l)
		routers = append(routers, m{"router_config_name": w.name, "virtual_hosts": []any{m{
			"name": "v", "domains": []any{"*"},
			"routers": []any{m{"match": m{"prefix": "/"}, "route": m{"cluster_name": "up"}}},
		}}})
	}
	text, err := json.Marshal(m{
		"servers": []any{m{"default_log_path": filepath.Join(dir, "mosn.log"), "default_log_level": "ERROR", "listeners": listeners, "routers": routers}},
		"cluster_manager": m{"clusters": []any{m{
			"name": "up", "type": "SIMPLE", "lb_type": "LB_RANDOM", "hosts": []any{m{"address": upstream}},
		}}},
	})
	file := filepath.Join(dir, proxy+".json")
	if err == nil {
		err = os.WriteFile(file, text, 0o644)
	}
	return file, err
}

func (p *proxies) stop() {
	for _, cmd := range []*exec.Cmd{p.mosn, p.envoy} {
		if cmd != nil && cmd.Process != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
}

func accepts(addr string) (err error) {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var c net.Conn
		if c, err = net.Dial("tcp", addr); err == nil {
			return c.Close()
		}
	}
	return fmt.Errorf("nobody listens: %w", err)
}
