package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"mosn.io/moe/internal/build"
	"mosn.io/moe/internal/envoy"
)

// ErrNoPilot says that there is no discovery server on this machine, and how to get one.
var ErrNoPilot = errors.New("pilot-discovery not found: run `make pilot` in a checkout of MoE to build Istio's " +
	"discovery server into .tools, or name one with --pilot PATH or PILOT_DISCOVERY=PATH")

// FindPilot returns the path of Istio's discovery server: explicit if it is not empty, else the environment variable
// PILOT_DISCOVERY, else the newest that `make pilot` built into the .tools folder of the checkout that contains the
// working directory or this program, else pilot-discovery in PATH. If none is found, the error is [ErrNoPilot]; if a
// named one cannot be run, the error says why.
func FindPilot(explicit string) (string, error) {
	for _, given := range []struct{ by, path string }{
		{"--pilot", explicit}, {"PILOT_DISCOVERY", os.Getenv("PILOT_DISCOVERY")},
	} {
		if given.path == "" {
			continue
		}
		p, err := exec.LookPath(given.path)
		if err != nil && !errors.Is(err, exec.ErrDot) {
			return "", fmt.Errorf("%s %s: %w", given.by, given.path, err)
		}
		return filepath.Abs(p)
	}
	if root, err := build.Checkout(""); err == nil {
		// The names contain pseudo-versions of one commit history, which sort by time.
		if found, _ := filepath.Glob(filepath.Join(root, ".tools", "pilot-*", "pilot-discovery")); len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	if p, err := exec.LookPath("pilot-discovery"); err == nil {
		return filepath.Abs(p)
	}
	return "", ErrNoPilot
}

// Pilot is a running discovery server. Its methods may be called from any goroutine.
type Pilot struct {
	cmd  *exec.Cmd
	dir  string
	out  output
	done chan struct{}
	err  error // valid once done is closed
	stop sync.Once

	grpc, http string
}

// startPatience bounds how long the discovery server may take to start.
const startPatience = 60 * time.Second

// StartPilot starts the discovery server at path on the objects of a cluster and returns when it serves. The server's
// log goes to log, which may be nil. If the server is not ready within a minute, or ctx ends first, StartPilot stops it
// and returns an error with the end of its log.
func StartPilot(ctx context.Context, path string, c *Cluster, log io.Writer) (*Pilot, error) {
	dir, err := os.MkdirTemp("", "moe-pilot-")
	if err != nil {
		return nil, err
	}
	p := &Pilot{dir: dir, out: output{w: log, more: make(chan struct{})}, done: make(chan struct{})}
	config, err := c.Kubeconfig(dir)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	p.cmd = exec.Command(path, "discovery", "--registries", "Kubernetes", "--kubeconfig", config, "--namespace", c.root,
		"--grpcAddr", "127.0.0.1:0", "--httpAddr", "127.0.0.1:0", "--httpsAddr=", "--secureGRPCAddr=", "--monitoringAddr=",
		"--ctrlz_address", "127.0.0.1", "--ctrlz_port", "0", "--shutdownDuration", "1s", "--profile=false")
	p.cmd.Dir = dir // it looks for a mesh configuration in the working directory
	p.cmd.Env = append(os.Environ(),
		"POD_NAMESPACE="+c.root, "POD_NAME=istiod", "CLUSTER_ID="+clusterID,
		// Disable what needs a certificate authority or a writable cluster.
		"ENABLE_CA_SERVER=false", "PILOT_CERT_PROVIDER=none", "VALIDATION_WEBHOOK_CONFIG_NAME=",
		"INJECTION_WEBHOOK_CONFIG_NAME=", "PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER=false",
		"PILOT_ENABLE_GATEWAY_API_STATUS=false", "ISTIO_KUBE_CLIENT_CONTENT_TYPE=json",
		// Proxies connect in plain text, and authenticate by their tokens.
		"XDS_AUTH_PLAINTEXT=true",
		// Leave out filters that only Istio's own proxy has.
		"PILOT_ENABLE_METADATA_EXCHANGE=false", "PILOT_ENABLE_ALPN_FILTER=false",
		// Wait only briefly for further changes: those that belong together arrive together.
		"PILOT_DEBOUNCE_AFTER=10ms", "PILOT_ENABLE_EDS_DEBOUNCE=true",
	)
	if c.ambient() {
		p.cmd.Env = append(p.cmd.Env, "PILOT_ENABLE_AMBIENT=true", "AMBIENT_ENABLE_STATUS=false")
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.WaitDelay = time.Second
	if err := envoy.Run(p.cmd, p.ended); err != nil {
		os.RemoveAll(dir)
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startPatience, fmt.Errorf("not ready within %v", startPatience))
	defer cancel()
	if err := p.waitReady(ctx); err != nil {
		p.Stop()
		return nil, fmt.Errorf("starting Istio's discovery server: %w%s", err, p.out.tail(12))
	}
	return p, nil
}

func (p *Pilot) ended(err error) {
	if err == nil {
		err = errors.New("exit status 0")
	}
	p.err = fmt.Errorf("the discovery server exited: %w", err)
	os.RemoveAll(p.dir)
	close(p.done)
}

var (
	grpcRE = regexp.MustCompile(`starting gRPC discovery service at (127\.0\.0\.1:\d+)`)
	httpRE = regexp.MustCompile(`starting HTTP service at (127\.0\.0\.1:\d+)`)
)

func (p *Pilot) waitReady(ctx context.Context) error {
	for {
		log, more := p.out.read()
		g, h := grpcRE.FindSubmatch(log), httpRE.FindSubmatch(log)
		if g != nil && h != nil {
			p.grpc, p.http = string(g[1]), string(h[1])
			break
		}
		select {
		case <-more:
		case <-p.done:
			return p.err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return poll(ctx, func() (bool, error) {
		select {
		case <-p.done:
			return false, p.err
		default:
		}
		_, err := p.ask(ctx, http.MethodGet, "/ready", nil)
		return err == nil, nil
	})
}

// poll calls f 50 times a second until f returns true or an error, or ctx ends.
func poll(ctx context.Context, f func() (bool, error)) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if done, err := f(); done || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Address returns the host:port at which the discovery server serves xDS over gRPC in plain text.
func (p *Pilot) Address() string { return p.grpc }

// Log returns what the discovery server has logged so far.
func (p *Pilot) Log() string { b, _ := p.out.read(); return string(b) }

// Done is closed when the discovery server has ended.
func (p *Pilot) Done() <-chan struct{} { return p.done }

// Stop ends the discovery server and waits until it has exited. It may be called more than once.
func (p *Pilot) Stop() {
	p.stop.Do(func() {
		p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(5 * time.Second):
			p.cmd.Process.Kill()
		}
	})
	<-p.done
}

// client connects directly, without a proxy from the environment: it only talks to this machine.
var client = &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}

func (p *Pilot) ask(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+p.http+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the discovery server answered %s with %s: %.200s", path, resp.Status, b)
	}
	return b, err
}

// Status is what the discovery server knows of one proxy, by the URL of the resource type.
type Status map[string]TypeStatus

// TypeStatus names the last response sent and the last one accepted, for one resource type. LastError says why the proxy
// refused one since, and is "" if it did not.
type TypeStatus struct {
	Sent      string `json:"sent"`
	Acked     string `json:"acked"`
	LastError string `json:"lastError"`
}

// Sync returns the status of the proxy with the node identity id, or nil if it is not connected.
func (p *Pilot) Sync(ctx context.Context, id string) (Status, error) {
	b, err := p.ask(ctx, http.MethodGet, "/debug/syncz", nil)
	if err != nil {
		return nil, err
	}
	var all []struct {
		Proxy     string
		Resources Status
	}
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("decoding /debug/syncz of the discovery server: %w", err)
	}
	for _, s := range all {
		if strings.HasSuffix(id, s.Proxy) || strings.Contains(id, "~"+s.Proxy+"~") {
			return s.Resources, nil
		}
	}
	return nil, nil
}

// output collects what a process prints, and copies it to w.
type output struct {
	w    io.Writer
	mu   sync.Mutex
	buf  []byte
	more chan struct{}
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf = append(o.buf, b...)
	close(o.more)
	o.more = make(chan struct{})
	if o.w != nil {
		o.w.Write(b)
	}
	return len(b), nil
}

// read returns the output so far, and a channel that is closed when there is more.
func (o *output) read() ([]byte, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf[:len(o.buf):len(o.buf)], o.more
}

// tail returns the last n lines, each preceded by a newline and two spaces.
func (o *output) tail(n int) string {
	b, _ := o.read()
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	var s strings.Builder
	for _, line := range lines[max(0, len(lines)-n):] {
		s.WriteString("\n  " + line)
	}
	return s.String()
}
