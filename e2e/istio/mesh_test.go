// Package istio proves what pkg/istio generates against Istio's own discovery server and real Envoys: requests through
// them show the plugins at work.
package istio

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/upstream"
	"mosn.io/moe/internal/envoy"
	"mosn.io/moe/pkg/istio/verify"
)

// patience bounds what must happen: there is no other deadline in these tests.
const patience = 30 * time.Second

// scratch is a folder that goes with the test process.
var scratch string

func TestMain(m *testing.M) {
	status := 1
	defer func() { os.Exit(status) }()
	var err error
	if scratch, err = os.MkdirTemp("", "moe-e2e-istio-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	defer os.RemoveAll(scratch)
	status = m.Run()
}

// mesh is a discovery server with its cluster, and a server behind the proxies.
type mesh struct {
	testing.TB
	cluster  *verify.Cluster
	pilot    *verify.Pilot
	agent    *verify.Agent
	upstream *upstream.Server
	dir      string
	base     string                   // the objects that it was started with
	applied  map[string]verify.Object // what policies have become
}

// newMesh starts a mesh with the objects of a YAML text, in which UPSTREAM stands for the server's port.
func newMesh(t testing.TB, objects ...string) *mesh {
	t.Helper()
	m := &mesh{TB: t, applied: map[string]verify.Object{}}
	path, err := verify.FindPilot("")
	m.ok(err)
	m.dir = folder(t)
	m.upstream, err = upstream.Start()
	m.ok(err)
	t.Cleanup(m.upstream.Close)
	m.agent, err = verify.NewAgent()
	m.ok(err)
	t.Cleanup(m.agent.Close)
	m.cluster, err = verify.NewCluster(verify.DefaultRootNamespace)
	m.ok(err)
	t.Cleanup(m.cluster.Close)
	m.base = m.fill(strings.Join(objects, "\n---\n"))
	m.ok(m.cluster.Apply(append(m.objects(m.base), verify.Loopback(verify.DefaultRootNamespace)...)...))
	log, err := os.Create(filepath.Join(m.dir, "pilot.log"))
	m.ok(err)
	m.pilot, err = verify.StartPilot(context.Background(), path, m.cluster, log)
	m.ok(err)
	t.Cleanup(func() { m.pilot.Stop(); log.Close() })
	return m
}

// in returns the mesh for a subtest.
func (m *mesh) in(t testing.TB) *mesh {
	n := *m
	n.TB = t
	return &n
}

// folder returns a folder for logs: of $E2E_DIR, where they stay, or one that goes with the test.
func folder(t testing.TB) string {
	if root := os.Getenv("E2E_DIR"); root != "" {
		dir := filepath.Join(root, "istio", t.Name())
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatalf("os.MkdirAll: %v", err)
		}
		return dir
	}
	return t.TempDir()
}

func (m *mesh) ok(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

// eventually polls f until it returns nil.
func (m *mesh) eventually(what string, f func() error) {
	m.Helper()
	if err := envoytest.Poll(patience, f); err != nil {
		m.Fatalf("%s: %v", what, err)
	}
}

// fill puts the server's port in place of UPSTREAM.
func (m *mesh) fill(text string) string {
	return strings.ReplaceAll(text, "UPSTREAM", strconv.Itoa(m.port()))
}

// objects reads YAML documents.
func (m *mesh) objects(text string) []verify.Object {
	m.Helper()
	var all []verify.Object
	for doc := range strings.SplitSeq(text, "\n---\n") {
		var o verify.Object
		m.ok(yaml.Unmarshal([]byte(doc), &o))
		if o != nil {
			all = append(all, o)
		}
	}
	return all
}

// proxy is a running Envoy of the mesh.
type proxy struct {
	*envoy.Process
	m    *mesh
	node verify.Proxy
	log  *envoytest.Log
}

// start starts an Envoy as a proxy of the mesh.
func (m *mesh) start(bin envoytest.Binary, node verify.Proxy) *proxy {
	m.Helper()
	lib, err := module()
	m.ok(err)
	config, err := node.Bootstrap(m.pilot.Address(), m.agent.Address())
	m.ok(err)
	p := &proxy{m: m, node: node}
	p.log, err = envoytest.NewLog(filepath.Join(m.dir, fmt.Sprintf("envoy-%s-%s.log", bin.Version, node.Name)))
	m.ok(err)
	p.Process, err = envoy.Start(context.Background(), envoy.Options{
		Path: bin.Path, Config: config, Concurrency: 2, Log: p.log, Module: lib, StopTimeout: 15 * time.Second,
		Args: []string{"--drain-time-s", "1", "--drain-strategy", "immediate"},
	})
	m.ok(err)
	m.Cleanup(func() {
		if err := p.Stop(); err != nil {
			m.Error(err)
		}
		if m.Failed() {
			m.Logf("Envoy's log:\n%s", envoytest.Tail(without(p.log.Since(0), "][info]", "Deprecated field"), 20))
			m.Logf("pilot's log:\n%s", envoytest.Tail(without(m.pilot.Log(), "a stand-in: Forbidden", " synced"), 20))
		}
	})
	return p
}

// without returns the lines that hold none of the texts.
func without(log string, texts ...string) string {
	var kept strings.Builder
	for line := range strings.Lines(log) {
		if !slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(line, s) }) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// The proxies that most tests use.
var (
	gatewayNode = verify.Proxy{
		Role: verify.Gateway, Name: "gw", Namespace: "istio-system", IP: "192.0.2.1",
		Labels: map[string]string{"istio": "ingressgateway"},
	}
	appNode = verify.Proxy{
		Role: verify.Sidecar, Name: "app", Namespace: "default", IP: "192.0.2.2", Labels: map[string]string{"app": "app"},
	}
)

// address returns where the listener listens.
func (p *proxy) address(listener string) string {
	p.m.Helper()
	var address string
	p.m.eventually("listener "+listener, func() (err error) {
		address, err = p.Listener(context.Background(), listener)
		return err
	})
	return address
}

// door is a way into a proxy.
type door struct {
	m    *mesh
	http *http.Client
	addr string

	tunnels atomic.Int64 // that were opened, to a waypoint
}

// open returns the door of a listener. If destination is not empty, connections say, as the kernel does in a mesh, that
// they were on the way there.
func (p *proxy) open(listener, destination string) *door {
	p.m.Helper()
	addr := p.address(listener)
	d := &door{m: p.m, addr: addr}
	d.http = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			if err != nil || destination == "" {
				return c, err
			}
			host, port, err := net.SplitHostPort(destination)
			if err == nil {
				_, err = fmt.Fprintf(c, "PROXY TCP4 192.0.2.200 %s 40000 %s\r\n", host, port)
			}
			return c, err
		},
	}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Timeout: patience}
	p.m.Cleanup(d.http.CloseIdleConnections)
	return d
}

// reply is what came back.
type reply struct {
	id     string
	status int
	header http.Header
	body   string
}

// get sends a request for host and path, with headers name, value ….
func (d *door) get(host, path string, header ...string) (reply, error) {
	r, err := http.NewRequest(http.MethodGet, "http://"+d.addr+path, nil)
	if err != nil {
		return reply{}, err
	}
	r.Host = host
	id := client.NewID()
	r.Header.Set("x-id", id)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp, err := d.http.Do(r)
	if err != nil {
		return reply{id: id}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{id, resp.StatusCode, resp.Header, string(body)}, err
}

// sees returns an error unless a request is answered with status and, if name is not empty, the response header name
// is value.
func (d *door) sees(host, path string, status int, name, value string, header ...string) error {
	r, err := d.get(host, path, header...)
	switch {
	case err != nil:
		return err
	case r.status != status:
		return fmt.Errorf("%s%s: status %d, not %d: %.200s", host, path, r.status, status, r.body)
	case name != "" && r.header.Get(name) != value:
		return fmt.Errorf("%s%s: %s is %q, not %q", host, path, name, r.header.Get(name), value)
	}
	return nil
}

// binaries are the Envoys to test, the newest first, which is the only one with -short.
func binaries(t *testing.T) []envoytest.Binary {
	t.Helper()
	if os.Getenv("ENVOY") == "" && os.Getenv("ENVOY_VERSIONS") == "" {
		t.Setenv("ENVOY_VERSIONS", "1.40.0 1.39.3 1.38.3")
	}
	bins, err := envoytest.Find()
	if err != nil {
		t.Fatalf("envoytest.Find: %v", err)
	}
	return bins
}

// onEach runs f on every Envoy.
func onEach(t *testing.T, f func(t *testing.T, bin envoytest.Binary)) {
	for _, bin := range binaries(t) {
		t.Run(bin.Version, func(t *testing.T) { f(t, bin) })
	}
}

// port returns that of the server.
func (m *mesh) port() int {
	_, text, _ := net.SplitHostPort(m.upstream.Addr)
	n, _ := strconv.Atoi(text)
	return n
}
