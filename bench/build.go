package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// modules says how each dynamic module is built, and each library for the Golang filter, by the name that Envoy's
// configuration has for it.
var modules = map[string]func(ctx context.Context, root, out string) error{
	"bare":        buildBare,
	"upstreamsdk": buildUpstreamSDK,
	"moe":         buildMoE,
	"golangsdk":   buildGolangSDK,
	bridge:        buildBridge,
}

const abiModule = "github.com/envoyproxy/envoy/source/extensions/dynamic_modules"

// build builds the modules that vs need into dir, as libNAME.so.
func build(ctx context.Context, root, dir string, vs []variant) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	done := map[string]bool{"": true}
	for _, v := range vs {
		for _, name := range []string{v.module, v.library} {
			if done[name] {
				continue
			}
			done[name] = true
			if err := modules[name](ctx, root, filepath.Join(dir, "lib"+name+".so")); err != nil {
				return fmt.Errorf("building %s: %w", name, err)
			}
		}
	}
	return nil
}

// buildBare compiles the C module against upstream's header, from where the SDK's Go module is.
func buildBare(ctx context.Context, root, out string) error {
	sdk := filepath.Join(root, "bench", "upstreamsdk")
	if _, err := run(ctx, sdk, "go", "mod", "download"); err != nil {
		return err
	}
	dir, err := run(ctx, sdk, "go", "list", "-m", "-f", "{{.Dir}}", abiModule)
	if err != nil {
		return err
	}
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "cc"
	}
	_, err = run(ctx, root, cc, "-O2", "-Wall", "-fPIC", "-shared", "-I", filepath.Join(strings.TrimSpace(dir), "abi"),
		"-o", out, filepath.Join("bench", "baremodule", "baremodule.c"))
	return err
}

func buildUpstreamSDK(ctx context.Context, root, out string) error {
	return buildGo(ctx, filepath.Join(root, "bench", "upstreamsdk"), out, ".")
}

func buildMoE(ctx context.Context, root, out string) error {
	return buildGo(ctx, root, out, "./bench/libmoe")
}

func buildGolangSDK(ctx context.Context, root, out string) error {
	return buildGo(ctx, root, out, "./bench/golangsdk")
}

func buildBridge(ctx context.Context, root, out string) error {
	if _, err := run(ctx, root, "make", "bridge"); err != nil {
		return err
	}
	_, err := run(ctx, root, "cp", filepath.Join("build", "libgolang_bridge.so"), out)
	return err
}

func buildGo(ctx context.Context, dir, out, pkg string) error {
	_, err := run(ctx, dir, "go", "build", "-buildmode=c-shared", "-o", out, pkg)
	return err
}

// run runs a program in dir and returns what it wrote to its standard output.
func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}
