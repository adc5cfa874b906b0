package edge

import (
	"fmt"
	"os"
	"testing"
)

// moduleDir holds the test module.
var moduleDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "moe-edge")
	if err != nil {
		fmt.Fprintln(os.Stderr, "a folder for the test module:", err)
		os.Exit(2)
	}
	moduleDir = dir
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}
