package edge

import (
	"fmt"
	"os"
	"testing"

	"mosn.io/moe/cmd/moe/cli"
)

// moduleDir holds the test module.
var moduleDir string

// asMoe, set in the environment, makes this program the command moe.
const asMoe = "EDGE_TEST_AS_MOE"

func TestMain(m *testing.M) {
	if os.Getenv(asMoe) != "" {
		os.Exit(cli.Main(os.Args[1:]...))
	}
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
