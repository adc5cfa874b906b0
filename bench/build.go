package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// modules says how each dynamic module is built, by the name that Envoy's configuration has for it.
var modules = map[string]func(ctx context.Context, root, out string) error{
	"bare":        buildBare,
	"upstreamsdk": buildUpstreamSDK,
	"moe":         buildMoE,
}

const abiModule = "github.com/envoyproxy/envoy/source/extensions/dynamic_modules"

// build builds the modules that vs need into dir, as libNAME.so.
func build(ctx context.Context, root, dir string, vs []variant) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	done := map[string]bool{"": true}
	for _, v := range vs {
		if done[v.module] {
			continue
		}
		done[v.module] = true
		if err := modules[v.module](ctx, root, filepath.Join(dir, "lib"+v.module+".so")); err != nil {
			return fmt.Errorf("building module %s: %w", v.module, err)
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
