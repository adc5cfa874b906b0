// Package build makes shared libraries and programs out of MoE's sources and other people's plugins.
package build

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Module is the path of MoE's Go module.
const Module = "mosn.io/moe"

// ErrNoCheckout says how to name a checkout.
var ErrNoCheckout = errors.New("the sources of MoE were not found: name their folder with --moe DIR or MOE=DIR")

// Checkout returns the absolute path of a checkout of MoE: dir if it is not empty, else the one that the environment
// variable MOE names, else the one that the working directory is in, the one that the running program is in, and last the one
// that it was built from, if that is still there.
func Checkout(dir string) (string, error) {
	for _, named := range []struct{ by, dir string }{{"--moe", dir}, {"MOE", os.Getenv("MOE")}} {
		if named.dir == "" {
			continue
		}
		abs, err := filepath.Abs(named.dir)
		if err != nil {
			return "", err
		}
		if !isCheckout(abs) {
			return "", fmt.Errorf("%s %s: no checkout of %s (its go.mod was looked for)", named.by, named.dir, Module)
		}
		return abs, nil
	}
	var starts []string
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	if exe, err := os.Executable(); err == nil {
		if exe, err = filepath.EvalSymlinks(exe); err == nil {
			starts = append(starts, filepath.Dir(exe))
		}
	}
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		starts = append(starts, filepath.Dir(file))
	}
	for _, start := range starts {
		if root := above(start, isCheckout); root != "" {
			return root, nil
		}
	}
	return "", ErrNoCheckout
}

// above returns dir or the nearest of its parents that ok accepts, or "".
func above(dir string, ok func(string) bool) string {
	for {
		if ok(dir) {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}

func isCheckout(dir string) bool { return modulePath(dir) == Module }

// modulePath returns the module path that dir/go.mod declares, or "".
func modulePath(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "module "); ok {
			rest, _, _ = strings.Cut(rest, "//")
			return strings.Trim(strings.TrimSpace(rest), `"`+"`")
		}
	}
	return ""
}
