package extproc

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/upstream"
)

// bed is an Envoy with a listener for each configuration of ext_proc.
type bed struct {
	*testing.T
	envoy     *envoytest.Envoy
	up        *upstream.Server
	clusters  []m
	listeners []m
	did       map[string]bool // statistics that have moved
}

// onEach runs f on each Envoy of the matrix.
func onEach(t *testing.T, f func(b *bed)) {
	bins, err := envoytest.Find()
	if err != nil {
		t.Fatalf("envoytest.Find: %v", err)
	}
	for _, bin := range bins {
		t.Run(bin.Version, func(t *testing.T) {
			b := &bed{T: t}
			if b.envoy, err = envoytest.Start(envoytest.Options{Binary: bin, Dir: t.TempDir()}); err != nil {
				t.Fatalf("envoytest.Start: %v", err)
			}
			t.Cleanup(func() {
				if err := b.envoy.Stop(); err != nil {
					t.Errorf("b.envoy.Stop: %v", err)
				}
			})
			if b.up, err = upstream.Start(); err != nil {
				t.Fatalf("upstream.Start: %v", err)
			}
			t.Cleanup(b.up.Close)
			b.clusters = []m{envoytest.Cluster("up", false, b.up.Addr)}
			f(b)
		})
	}
}

// listen adds a listener whose ext_proc filter speaks to servers, and returns its address and the prefix of its
// statistics.
func (b *bed) listen(config m, servers ...string) (addr, stats string) {
	b.Helper()
	name := fmt.Sprintf("s%d", len(b.listeners)+1)
	cluster := envoytest.Cluster(name, true, servers...)
	cluster["outlier_detection"] = m{
		"split_external_local_origin_errors": true, "consecutive_local_origin_failure": 1,
		"base_ejection_time": "5s", "max_ejection_percent": 50,
	}
	cluster["circuit_breakers"] = m{"thresholds": a{m{"max_retries": 1000}}}
	b.clusters = append(b.clusters, cluster)
	filter := m{
		"@type":        "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
		"grpc_service": m{"envoy_grpc": m{"cluster_name": name}},
		"stat_prefix":  "moe",
	}
	maps.Copy(filter, config)
	if retry, ok := filter["retry"]; ok {
		delete(filter, "retry")
		filter["grpc_service"].(m)["retry_policy"] = retry
	}
	if metadata, ok := filter["metadata"]; ok {
		delete(filter, "metadata")
		filter["grpc_service"].(m)["initial_metadata"] = metadata
	}
	hcm := m{
		"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3." +
			"HttpConnectionManager",
		"stat_prefix": name,
		"http_filters": a{m{"name": "moe", "typed_config": filter}, m{"name": "router", "typed_config": m{
			"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
		}}},
		"route_config": m{"virtual_hosts": a{m{
			"name": "all", "domains": a{"*"},
			"routes": a{m{"name": "only", "match": m{"prefix": "/"}, "route": m{"cluster": "up"}}},
		}}},
	}
	b.listeners = append(b.listeners, m{
		"name": name, "address": envoytest.Address("127.0.0.1:0"),
		"filter_chains": a{m{"filters": a{m{"name": "hcm", "typed_config": hcm}}}},
	})
	if err := b.envoy.SetClusters(b.clusters); err != nil {
		b.Fatalf("b.envoy.SetClusters: %v", err)
	}
	if err := b.envoy.SetListeners(b.listeners); err != nil {
		b.Fatalf("b.envoy.SetListeners: %v", err)
	}
	b.poll(func() (err error) { addr, err = b.envoy.ListenerAddress(name); return err })
	return addr, "http." + name + ".ext_proc.moe."
}

// Run runs f as a subtest. Until f returns, the bed's T is the subtest's.
func (b *bed) Run(name string, f func(t *testing.T)) bool {
	outer := b.T
	defer func() { b.T = outer }()
	return outer.Run(name, func(t *testing.T) { b.T = t; f(t) })
}

func (b *bed) poll(f func() error) {
	b.Helper()
	if err := envoytest.Poll(10*time.Second, f); err != nil {
		b.Fatalf("envoytest.Poll: %v", err)
	}
}

// get sends a request.
func (b *bed) get(addr string, header ...string) *client.Response {
	b.Helper()
	r, err := client.Do(addr, client.Request{Path: "/body/x", Header: header})
	if err != nil {
		b.Fatalf("client.Do: %v", err)
	}
	return r
}

// moved waits until a statistic has moved.
func (b *bed) moved(prefix string, names ...string) {
	b.Helper()
	for _, name := range names {
		b.poll(func() error {
			s, err := b.envoy.Stats("^" + regexp.QuoteMeta(prefix) + ".*")
			if err == nil && s[prefix+name] == 0 {
				err = fmt.Errorf("%s has not moved: %v", name, s)
			}
			return err
		})
		if b.did == nil {
			b.did = map[string]bool{}
		}
		b.did[name] = true
	}
}

// probes starts the server with the probes, which ends with the test. serve has it run a chain at an address of the
// chain's own.
func (b *bed) probes() (p *process, serve func(plugins ...any) string) {
	b.Helper()
	h := &Host{}
	b.Cleanup(func() { h.end(b.T) })
	p, err := h.of(b.envoy)
	if err != nil {
		b.Fatalf("h.of: %v", err)
	}
	return p, func(plugins ...any) string {
		b.Helper()
		addr, err := p.post("/filter?name=moe", wrap(m{"plugins": plugins}))
		if err != nil {
			b.Fatalf("p.post: %v", err)
		}
		return addr
	}
}

// probe writes a plugin that runs scripts, by phases: phase, script, phase, script …
func probe(name string, on ...any) m { return m{"name": name, "config": m{"on": with(m{}, on...)}} }

// raw starts a server of the protocol that does what f says.
func raw(t *testing.T, f func(extprocv3.ExternalProcessor_ProcessServer) error) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	g := grpc.NewServer()
	extprocv3.RegisterExternalProcessorServer(g, &rawServer{f: f})
	go g.Serve(ln)
	t.Cleanup(g.Stop)
	return ln.Addr().String()
}

type rawServer struct {
	extprocv3.UnimplementedExternalProcessorServer
	f func(extprocv3.ExternalProcessor_ProcessServer) error
}

func (s *rawServer) Process(g extprocv3.ExternalProcessor_ProcessServer) error { return s.f(g) }

// moe is the command, built once.
func moe(t *testing.T) string {
	t.Helper()
	root, err := envoytest.Root()
	if err != nil {
		t.Fatalf("envoytest.Root: %v", err)
	}
	file := filepath.Join(t.TempDir(), "moe")
	cmd := exec.Command("go", "build", "-o", file, "./cmd/moe")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building moe: %v\n%s", err, out)
	}
	return file
}

// serving is a process of moe extproc.
type serving struct {
	addr string
	cmd  *exec.Cmd
}

var listenRE = regexp.MustCompile(`listen=(\S+)`)

// startMoe starts moe extproc with a configuration.
func startMoe(t *testing.T, binary, config string, flags ...string) *serving {
	t.Helper()
	file := filepath.Join(t.TempDir(), "moe.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	args := append([]string{"extproc", "-c", file, "--listen", "127.0.0.1:0"}, flags...)
	s := &serving{cmd: exec.Command(binary, args...)}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatalf("s.cmd.StderrPipe: %v", err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("s.cmd.Start: %v", err)
	}
	t.Cleanup(func() { s.kill() })
	lines := bufio.NewReader(stderr)
	var all strings.Builder
	for s.addr == "" {
		line, err := lines.ReadString('\n')
		all.WriteString(line)
		if err != nil {
			t.Fatalf("moe extproc does not serve: %s", all.String())
		}
		if f := listenRE.FindStringSubmatch(line); f != nil {
			s.addr = f[1]
		}
	}
	go io.Copy(io.Discard, lines)
	return s
}

func (s *serving) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}
