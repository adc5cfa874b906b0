// Package envoytest runs a real Envoy for tests: it finds the binaries, starts one with configuration from files that
// may be replaced while it runs, reads its log and its admin page, and stops it.
package envoytest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Versions are the Envoys of the test matrix. With -short, only the first is tested.
var Versions = []string{"1.39.3", "1.38.3", "1.40.0"}

// Binary is an Envoy on disk.
type Binary struct{ Version, Path string }

// Find returns the Envoys to test: $ENVOY alone if it is set, else those of $ENVOY_VERSIONS (separated by blanks or
// commas; default [Versions]) in the checkout's .envoy folder, installed by scripts/install-envoy where missing. With
// -short it returns the first only.
func Find() ([]Binary, error) {
	if p := os.Getenv("ENVOY"); p != "" {
		v, err := version(p)
		return []Binary{{v, p}}, err
	}
	versions := strings.FieldsFunc(os.Getenv("ENVOY_VERSIONS"), func(r rune) bool { return r == ' ' || r == ',' })
	if len(versions) == 0 {
		versions = Versions
	}
	if testing.Short() {
		versions = versions[:1]
	}
	root, err := Root()
	if err != nil {
		return nil, err
	}
	var found []Binary
	for _, v := range versions {
		p := filepath.Join(root, ".envoy", v, "envoy")
		if _, err := os.Stat(p); err != nil {
			if out, err := exec.Command(filepath.Join(root, "scripts", "install-envoy"), v).CombinedOutput(); err != nil {
				return nil, fmt.Errorf("scripts/install-envoy %s: %w\n%s", v, err, out)
			}
		}
		found = append(found, Binary{v, p})
	}
	return found, nil
}

// Root returns the checkout: the nearest folder above the working one that has both a go.mod and framework/.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		_, err1 := os.Stat(filepath.Join(dir, "go.mod"))
		_, err2 := os.Stat(filepath.Join(dir, "framework"))
		if err1 == nil && err2 == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no checkout of MoE above the working folder")
		}
	}
}

var versionRE = regexp.MustCompile(`/(\d+\.\d+\.\d+[^/]*)/`)

func version(path string) (string, error) {
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ENVOY=%s --version: %w", path, err)
	}
	m := versionRE.FindSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("ENVOY=%s: no version in %q", path, out)
	}
	return string(m[1]), nil
}
