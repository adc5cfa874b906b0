package envoytest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Module puts the test module into dir as libmoe.so: built, or the library $E2E_MODULE.
func Module(tb testing.TB, dir string) {
	tb.Helper()
	lib := filepath.Join(dir, "libmoe.so")
	if given := os.Getenv("E2E_MODULE"); given != "" {
		if err := os.Symlink(given, lib); err != nil {
			tb.Fatal(err)
		}
		return
	}
	root, err := Root()
	if err != nil {
		tb.Fatal(err)
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
			tb.Fatal(err)
		}
		cmd := exec.Command("make", "-C", root, "bridge")
		if out, err := cmd.CombinedOutput(); err != nil {
			tb.Fatalf("building the bridge: %v\n%s", err, out)
		}
		lib = filepath.Join(root, "build", "libgolang_bridge.so")
	}
	if err := os.Symlink(lib, filepath.Join(dir, "libgolang_bridge.so")); err != nil {
		tb.Fatal(err)
	}
}
