// Command abigen writes host.h and host.c of package golang: a trampoline for each function of Envoy's Golang ABI that
// concerns HTTP, the log or configurations, from the prototypes in Envoy's api.h in the module cache. A prototype that
// it does not understand, or a function of a kind that it does not know, is an error. go generate runs it.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "abigen:", err)
		os.Exit(1)
	}
}

func run() error {
	header, err := apiHeader()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(header)
	if err != nil {
		return err
	}
	fs, err := parse(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", header, err)
	}
	if err := os.WriteFile("host.h", []byte(declarations(fs)), 0o644); err != nil {
		return err
	}
	return os.WriteFile("host.c", []byte(definitions(fs)), 0o644)
}

// apiHeader finds Envoy's api.h in the module cache.
func apiHeader() (string, error) {
	cmd := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/envoyproxy/envoy/contrib/golang/common/go/api")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go list: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "api.h"), nil
}
