package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/upstream"
)

// Bed is what one scenario runs in. Its Envoy also serves the scenarios before and after it.
type Bed struct {
	testing.TB
	*station
	Patience time.Duration // for whatever is polled

	mark int // of the host's log, when the scenario began
}

// Run runs f as a part of the scenario, with a name. Until f returns, b fails that part.
func (b *Bed) Run(name string, f func()) {
	b.Helper()
	outer, ok := b.TB.(*testing.T)
	if !ok { // the control's, which knows one answer for all
		f()
		return
	}
	defer func() { b.TB = outer }()
	outer.Run(name, func(t *testing.T) { b.TB = t; f() })
}

// HostLog is where the plugins log.
func (b *Bed) HostLog() *envoytest.Log { return b.Host.Log(b.Envoy) }

// WaitLog waits for a line of the host's log since the scenario began that matches re, and returns its groups.
func (b *Bed) WaitLog(re string) []string {
	b.Helper()
	m, err := b.HostLog().Wait(b.mark, re, b.Patience)
	if err != nil {
		b.Fatalf("b.HostLog().Wait: %v", err)
	}
	return m
}

// Poll calls f until it returns nil, and fails the scenario with its last error.
func (b *Bed) Poll(f func() error) {
	b.Helper()
	if err := envoytest.Poll(b.Patience, f); err != nil {
		b.Fatalf("envoytest.Poll: %v", err)
	}
}

// Seen waits until the upstream has seen n whole requests of r's id.
func (b *Bed) Seen(r *client.Response, n int) []upstream.Seen {
	b.Helper()
	seen, err := b.Up.Wait(r.ID, n, b.Patience)
	if err != nil {
		b.Fatalf("b.Up.Wait: %v", err)
	}
	return seen
}

// Access waits for the line of a request in Envoy's access log; accessFormat has its fields.
func (b *Bed) Access(id string) map[string]any {
	b.Helper()
	var entry map[string]any
	b.Poll(func() error {
		p, err := os.ReadFile(b.accessFile())
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(p)) {
			if !strings.Contains(line, `"`+id+`"`) {
				continue
			}
			entry = nil
			if err := json.Unmarshal([]byte(line), &entry); err == nil && entry["id"] == id {
				return nil
			}
		}
		return fmt.Errorf("no line of %s in Envoy's access log", id)
	})
	return entry
}

// accessFormat is what each request's line in Envoy's access log has.
var accessFormat = M{
	"id": "%REQ(X-ID)%", "code": "%RESPONSE_CODE%", "details": "%RESPONSE_CODE_DETAILS%",
	"flags": "%RESPONSE_FLAGS%", "meta": "%DYNAMIC_METADATA(moe.test)%", "fs": "%FILTER_STATE(moe.test:PLAIN)%",
	"received": "%BYTES_RECEIVED%", "sent": "%BYTES_SENT%", "grpc": "%GRPC_STATUS_NUMBER%",
	"host": "%UPSTREAM_HOST%", "route": "%ROUTE_NAME%", "cluster": "%UPSTREAM_CLUSTER%",
	"consumer": "%DYNAMIC_METADATA(moe:consumer)%", "decision": "%DYNAMIC_METADATA(moe.authz:decision)%",
	"attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "late": "%REQ(X-LATE)%",
}

func (s *station) accessFile() string { return filepath.Join(s.Envoy.Dir, "access.log") }

// Live asks the control probe for its counts.
func (b *Bed) Live() map[string]int64 {
	b.Helper()
	m := map[string]int64{}
	var all map[string]any
	b.control("/live", &all)
	for k, v := range all {
		if n, ok := v.(float64); ok {
			m[k] = int64(n)
		}
	}
	return m
}

// Background returns the results of background callouts, by plugin id.
func (b *Bed) Background() map[string]string {
	b.Helper()
	var all struct{ Background map[string]string }
	b.control("/live", &all)
	return all.Background
}

// Open lets the probes at a gate go on.
func (b *Bed) Open(gate string) {
	b.Helper()
	b.control("/open?gate="+gate, nil)
}

func (b *Bed) control(path string, v any) {
	b.Helper()
	if b.controller == nil {
		l := b.Listen(Listen{Chain: Chain(M{"name": "probecontrol"}), keep: true})
		b.controller = l
	}
	r, err := client.Do(b.controller.Addr, client.Request{Path: path})
	if err != nil || r.Status != 200 {
		b.Fatalf("the control probe: %v %d %s", err, r.Status, r.Body)
	}
	if v != nil {
		if err := json.Unmarshal([]byte(r.Body), v); err != nil {
			b.Fatalf("the control probe: %v: %s", err, r.Body)
		}
	}
}

// Waiting waits until n probes more than before stand at a gate or wait for their stream's end.
func (b *Bed) Waiting(n int64) {
	b.Helper()
	b.Poll(func() error {
		if w := b.Live()["waiting"]; w != n {
			return fmt.Errorf("%d probes are waiting, want %d", w, n)
		}
		return nil
	})
}

// Equal fails the scenario, but lets it go on, where got is not want.
func Equal[T comparable](b *Bed, what string, got, want T) {
	b.Helper()
	if got != want {
		b.Errorf("%s: got %v, want %v", what, short(got), short(want))
	}
}

// Contains is [Equal] for a part of a text.
func Contains(b *Bed, what, got, want string) {
	b.Helper()
	if !strings.Contains(got, want) {
		b.Errorf("%s: got %v, which lacks %q", what, short(got), want)
	}
}

func short(v any) string {
	s := fmt.Sprintf("%#v", v)
	if len(s) > 400 {
		s = s[:400] + "…"
	}
	return s
}
