package envoytest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Module puts the test module into dir as libmoe.so: built, or the library $E2E_MODULE.
func Module(tb testing.TB, dir string) {
	tb.Helper()
	lib := filepath.Join(dir, "libmoe.so")
	if given := os.Getenv("E2E_MODULE"); given != "" {
		if err := os.Symlink(given, lib); err != nil {
			tb.Fatalf("os.Symlink: %v", err)
		}
		return
	}
	root, err := Root()
	if err != nil {
		tb.Fatalf("Root: %v", err)
	}
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", lib, "./testmodule")
	cmd.Dir = filepath.Join(root, "e2e")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("building the test module: %v\n%s", err, out)
	}
}

// Bridge puts libgolang_bridge.so into dir: built, or the library $E2E_BRIDGE.
func Bridge(tb testing.TB, dir string) {
	tb.Helper()
	lib := os.Getenv("E2E_BRIDGE")
	if lib == "" {
		root, err := Root()
		if err != nil {
			tb.Fatalf("Root: %v", err)
		}
		cmd := exec.Command("make", "-C", root, "bridge")
		if out, err := cmd.CombinedOutput(); err != nil {
			tb.Fatalf("building the bridge: %v\n%s", err, out)
		}
		lib = filepath.Join(root, "build", "libgolang_bridge.so")
	}
	if err := os.Symlink(lib, filepath.Join(dir, "libgolang_bridge.so")); err != nil {
		tb.Fatalf("os.Symlink: %v", err)
	}
}

// bothWays are the scenarios in which request and response wait for a plugin at the same moment, or the response goes on
// while the request waits.
var bothWays = []string{
	"10 MiB both ways: piped", "10 MiB both ways: async",
	"gRPC: bidirectional, each message answered before the next, piped",
	"gRPC: bidirectional, each message answered before the next, async",
	// The upstream sends its headers before it has the message.
	"gRPC: bidirectional, the client cancels, the request piped",
	"gRPC: bidirectional, the client cancels, both piped",
}

// BothWays says why a scenario cannot hold for a dynamic module: Envoy up to 1.38 remembers in a single flag whether a
// module's filter has continued, for both directions. While both stand still at once, continuing one makes it ignore the
// other's, and so does an event of one direction that passes at once (docs/hosts.md).
func BothWays(version, scenario string) string {
	if !strings.HasPrefix(version, "1.38.") {
		return ""
	}
	for _, prefix := range bothWays {
		if strings.HasPrefix(scenario, prefix) {
			return "the request cannot wait for a plugin while the response waits or goes on"
		}
	}
	return ""
}
