package envoy

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"mosn.io/moe/internal/build"
)

// DefaultVersion is the stock Envoy that scripts/install-envoy installs when it is not told otherwise.
const DefaultVersion = "1.39.3"

// ErrNotFound tells how to get an Envoy.
var ErrNotFound = errors.New("no Envoy found: run `make envoy` in the checkout of MoE, which installs one into " +
	".envoy, or name one with --envoy PATH or ENVOY=PATH")

// Find returns the path of an Envoy binary: the explicit one if it is not empty, else that of the environment variable
// ENVOY, else the one installed in the .envoy folder of the checkout that the working directory or this program is in,
// else envoy in PATH. It fails with ErrNotFound, or with what is wrong with a binary that was named.
func Find(explicit string) (string, error) {
	if explicit != "" {
		return named("--envoy", explicit)
	}
	if p := os.Getenv("ENVOY"); p != "" {
		return named("ENVOY", p)
	}
	if root, err := build.Checkout(""); err == nil {
		if installed := Installed(root); len(installed) > 0 {
			p := filepath.Join(root, ".envoy", DefaultVersion, "envoy")
			if slices.Contains(installed, p) {
				return p, nil
			}
			return installed[len(installed)-1], nil
		}
	}
	if p, err := exec.LookPath("envoy"); err == nil {
		return p, nil
	}
	return "", ErrNotFound
}

func named(by, path string) (string, error) {
	p, err := exec.LookPath(path)
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return "", fmt.Errorf("%s %s: %w", by, path, err)
	}
	return filepath.Abs(p)
}

// Installed returns the paths of the Envoys in the .envoy folder of the checkout root, by rising version.
func Installed(root string) []string {
	found, _ := filepath.Glob(filepath.Join(root, ".envoy", "[0-9]*", "envoy"))
	slices.SortFunc(found, func(a, b string) int {
		return compareVersions(filepath.Base(filepath.Dir(a)), filepath.Base(filepath.Dir(b)))
	})
	return found
}

// compareVersions orders dotted numbers; a part that is not a number counts as text.
func compareVersions(a, b string) int {
	pa, pb := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(pa), len(pb)) {
		if len(pa[i]) != len(pb[i]) {
			return len(pa[i]) - len(pb[i])
		}
		if c := strings.Compare(pa[i], pb[i]); c != 0 {
			return c
		}
	}
	return len(pa) - len(pb)
}
