package build

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// trialTime is how long the initialisers of packages may take. Those of a plugin that waits for the network would keep
// Envoy's main thread waiting, too.
const trialTime = time.Minute

//go:embed trial/trial.c
var trialSource []byte

// tryLibrary loads a libmoe.so in a process of its own, as Envoy will in its: a panic in an init function ends the
// process that loads the library. A library for another system is not tried.
func (w *workspace) tryLibrary(library string) error {
	out, err := w.output(w.dir, "env", "GOOS", "GOARCH", "CC")
	if err != nil {
		return err
	}
	env := strings.Split(string(out), "\n")
	if len(env) < 3 || env[0] != runtime.GOOS || env[1] != runtime.GOARCH {
		fmt.Fprintf(w.log, "not tried on this machine: %s/%s\n", env[0], env[1])
		return nil
	}
	source, trial := filepath.Join(w.dir, "trial.c"), filepath.Join(w.dir, "trial")
	if err := os.WriteFile(source, trialSource, 0o644); err != nil {
		return err
	}
	cc := strings.Fields(env[2])
	if len(cc) == 0 {
		return errors.New("go env CC is empty")
	}
	c := exec.CommandContext(w.ctx, cc[0], append(cc[1:], "-o", trial, source, "-ldl")...)
	if said, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", env[2], err, said)
	}
	return try(w.ctx, trialTime, trial, library)
}

// tryCommand runs a moe that has the same packages.
func (w *workspace) tryCommand(command string) error {
	out, err := w.output(w.dir, "env", "GOOS", "GOARCH")
	if err != nil {
		return err
	}
	if env := strings.Fields(string(out)); len(env) < 2 || env[0] != runtime.GOOS || env[1] != runtime.GOARCH {
		return nil
	}
	return try(w.ctx, trialTime, command, "--version")
}

// try runs a program that ends with status 0 once the packages in question are initialised.
func try(ctx context.Context, atMost time.Duration, program string, args ...string) error {
	inTime, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	c := exec.CommandContext(inTime, program, args...)
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	c.WaitDelay = time.Second
	err := c.Run()
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case inTime.Err() != nil:
		return fmt.Errorf("its packages are not initialised within %v; is there an init function that waits?", atMost)
	}
	return fmt.Errorf("its packages cannot be initialised (%w):\n%s", err, bytes.TrimSpace(said.Bytes()))
}
