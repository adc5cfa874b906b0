// Package extproc runs the conformance suite over Envoy's external processing: a server in a process of its own for
// each Envoy.
package extproc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/host"
	"mosn.io/moe/framework/host/extproc"
)

type (
	m = conformance.M
	a = conformance.A
)

// Host is envoy.filters.http.ext_proc before a test server with the probes.
type Host struct {
	// Mode is the body mode of both directions. Default: FULL_DUPLEX_STREAMED.
	Mode string
	// Change, if there is one, changes the filter's configuration.
	Change func(config m)

	mu      sync.Mutex
	servers map[*envoytest.Envoy]*process
}

// Name returns "extproc".
func (h *Host) Name() string { return "extproc" }

// Capabilities are those of the host.
func (h *Host) Capabilities() filter.Capability { return extproc.Capabilities }

// SoftReset says that ext_proc cannot reset a stream before the response has begun.
func (h *Host) SoftReset() {}

// Limit knows what the protocol cannot do, on any version.
func (h *Host) Limit(_, scenario string) string {
	switch scenario {
	case "metadata: set in OnComplete is in Envoy's access log", "metadata: of a reset stream is in the access log too":
		return "Envoy takes no message at the stream's end"
	case "attributes: of the response, at its end":
		return "Envoy sends no message at the stream's end"
	case "reply: after a response has begun whose headers no plugin wanted":
		return "Envoy does not tell the server that the response has begun"
	case "websocket: ping-pong, piped", "websocket: the client leaves":
		return "plugins see the headers of tunnels only"
	}
	return ""
}

// Build does nothing: the test binary is the server.
func (h *Host) Build(testing.TB) {}

// Env is empty.
func (h *Host) Env() []string { return nil }

// process is a server of [serve].
type process struct {
	cmd     *exec.Cmd
	control string
	log     *envoytest.Log
}

// of returns the server of an Envoy, and starts it at the first call.
func (h *Host) of(e *envoytest.Envoy) (*process, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.servers[e]; p != nil {
		return p, nil
	}
	log, err := envoytest.NewLog(filepath.Join(e.Dir, "extproc.log"))
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(os.Args[0]), log: log}
	p.cmd.Env = append(os.Environ(), serverEnv+"=1")
	p.cmd.Stderr = log
	if _, err := p.cmd.StdinPipe(); err != nil { // which ends with this process, and the server with it
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("the server does not start: %w", err)
	}
	go io.Copy(log, lines)
	p.control = strings.TrimSpace(line)
	if h.servers == nil {
		h.servers = map[*envoytest.Envoy]*process{}
	}
	h.servers[e] = p
	return p, nil
}

// Close ends the servers.
func (h *Host) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.servers {
		p.cmd.Process.Kill()
		p.cmd.Wait()
	}
	h.servers = nil
}

// RSS returns the resident memory of an Envoy's server in bytes.
func (h *Host) RSS(e *envoytest.Envoy) (int64, error) {
	p, err := h.of(e)
	if err != nil {
		return 0, err
	}
	return envoytest.RSS(p.cmd.Process.Pid)
}

// Leaks stops all that an Envoy's server serves, and returns the goroutines that are left.
func (h *Host) Leaks(e *envoytest.Envoy) error {
	p, err := h.of(e)
	if err == nil {
		_, err = p.post("/leaks", nil)
	}
	return err
}

// post sends a document to the server's control page and returns the answer.
func (p *process) post(path string, doc any) (string, error) {
	body, err := json.Marshal(doc)
	if err != nil {
		return "", err
	}
	r, err := http.Post("http://"+p.control+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != 200 {
		err = fmt.Errorf("%s", text)
	}
	return string(text), err
}

func envoyOf(tb testing.TB) *envoytest.Envoy { return tb.(*conformance.Bed).Envoy }

// Filter returns the HTTP filter and the cluster of a server with that configuration.
func (h *Host) Filter(tb testing.TB, name string, doc any) (conformance.Filter, error) {
	p, err := h.of(envoyOf(tb))
	if err != nil {
		return conformance.Filter{}, err
	}
	addr, err := p.post("/filter?name="+name, wrap(doc))
	if err != nil {
		return conformance.Filter{}, err
	}
	_, port, _ := strings.Cut(addr, ":")
	cluster := "moe-extproc-" + port
	mode := h.Mode
	if mode == "" {
		mode = "FULL_DUPLEX_STREAMED"
	}
	config := m{
		"@type":        "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
		"grpc_service": m{"envoy_grpc": m{"cluster_name": cluster}},
		"processing_mode": m{
			"request_header_mode": "SEND", "response_header_mode": "SEND",
			"request_body_mode": mode, "response_body_mode": mode,
			"request_trailer_mode": "SEND", "response_trailer_mode": "SEND",
		},
		"request_attributes":  Attributes,
		"response_attributes": a{"response.code", "response.code_details", "response.flags", "upstream.address"},
		"metadata_options": m{
			"forwarding_namespaces": m{"untyped": a{"moe.test", "race", "stale", "from.lua", host.PartNamespace}},
			"receiving_namespaces":  m{"untyped": a{"moe", "moe.authz", "moe.test", "race", "stale", host.PartNamespace}},
		},
		"mutation_rules":              m{"allow_all_routing": true, "allow_envoy": true},
		"allow_content_length_header": true,
		"message_timeout":             "10s",
		"max_message_timeout":         "60s",
	}
	if h.Change != nil {
		h.Change(config)
	}
	tunnel := maps.Clone(config)
	tunnel["processing_mode"] = m{"request_header_mode": "SEND", "response_header_mode": "SEND"}
	return conformance.Filter{
		Tunnels:  []m{{"name": conformance.FilterName, "typed_config": tunnel}},
		HTTP:     []m{{"name": conformance.FilterName, "typed_config": config}},
		Clusters: []m{envoytest.Cluster(cluster, true, addr)},
		Release:  &conformance.Release{Func: func() { p.post("/release?addr="+addr, nil) }},
	}, nil
}

// Attributes are what the probes ask for.
var Attributes = a{
	"request.path", "request.url_path", "request.host", "request.scheme", "request.method",
	"request.protocol", "request.id", "request.query", "source.address", "source.port", "destination.address",
	"destination.port", "connection.id", "connection.mtls", "connection.subject_peer_certificate",
	"connection.uri_san_peer_certificate", "connection.dns_san_peer_certificate",
	"connection.sha256_peer_certificate_digest", "xds.route_name", "xds.virtual_host_name", "xds.cluster_name",
}

// Route returns the configuration of a route.
func (h *Host) Route(tb testing.TB, name string, doc any) (m, error) {
	p, err := h.of(envoyOf(tb))
	if err != nil {
		return nil, err
	}
	text, err := p.post("/route?name="+name, wrap(doc))
	if err != nil {
		return nil, err
	}
	return m{
		"@type":     "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute",
		"overrides": m{"grpc_initial_metadata": a{m{"key": extproc.ConfigKey, "value": text}}},
	}, nil
}

// wrap tells a document from the text of one.
func wrap(doc any) any {
	switch doc := doc.(type) {
	case []byte:
		return m{"text": doc}
	case string:
		return m{"text": []byte(doc)}
	}
	return m{"doc": doc}
}

// Log is the server's.
func (h *Host) Log(e *envoytest.Envoy) *envoytest.Log {
	if p, err := h.of(e); err == nil {
		return p.log
	}
	return e.Log
}

// Metrics are the server's.
func (h *Host) Metrics(e *envoytest.Envoy) (string, error) {
	p, err := h.of(e)
	if err != nil {
		return "", err
	}
	return p.post("/metrics", nil)
}

// Metric returns the metric's name with dots and dashes replaced.
func (h *Host) Metric(name string) string {
	return strings.NewReplacer(".", "_", "-", "_").Replace(name)
}
