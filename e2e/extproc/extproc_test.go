package extproc

import (
	"fmt"
	"os"
	"testing"

	"mosn.io/moe/e2e/conformance"
)

func TestMain(t *testing.M) {
	if os.Getenv(serverEnv) != "" {
		fmt.Fprintln(os.Stderr, serve())
		os.Exit(1)
	}
	os.Exit(t.Run())
}

// TestConformance runs every scenario on every Envoy.
func TestConformance(t *testing.T) {
	h := &Host{}
	t.Cleanup(h.Close)
	conformance.Run(t, h)
}
