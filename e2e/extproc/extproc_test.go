package extproc

import (
	"os"
	"strings"
	"testing"

	"mosn.io/moe/e2e/conformance"
)

func TestMain(t *testing.M) {
	Main()
	os.Exit(t.Run())
}

// TestConformance runs every scenario on every Envoy.
func TestConformance(t *testing.T) {
	h := &Host{}
	t.Cleanup(func() { h.end(t) })
	conformance.Run(t, h)
}

// TestControl proves that the scenarios fail where the filter is missing.
func TestControl(t *testing.T) {
	h := &Host{}
	t.Cleanup(func() { h.end(t) })
	conformance.Control(t, h)
}

// end closes h, and fails if a server's log has a data race, which the race detector reports nowhere else.
func (h *Host) end(t *testing.T) {
	t.Helper()
	for _, p := range h.servers {
		if i := strings.Index(p.log.Since(0), "WARNING: DATA RACE"); i >= 0 {
			t.Errorf("a server has a data race:\n%s", p.log.Since(i))
		}
	}
	h.Close()
}
