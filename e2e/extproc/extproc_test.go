package extproc

import (
	"os"
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
	t.Cleanup(h.Close)
	conformance.Run(t, h)
}
