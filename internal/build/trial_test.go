package build

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// library compiles a shared library that exports what every libmoe.so does, and has this init function.
func library(t *testing.T, init string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module example.com/trial\n\ngo 1.25\n",
		"main.go": "package main\n\nimport \"C\"\nimport (\n\t\"os\"\n\t\"time\"\n)\n\n" +
			"func init() {\n\t_, _ = os.Args, time.Now\n\t" + init + "\n}\n\n" +
			"//export envoyGoFilterDestroyHttpPluginConfig\n" +
			"func envoyGoFilterDestroyHttpPluginConfig(id uint64, later int64) {}\n\nfunc main() {}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
	}
	c := exec.Command("go", "build", "-buildmode=c-shared", "-o", "lib.so", ".")
	c.Dir, c.Env = dir, append(os.Environ(), "GOWORK=off", "CGO_ENABLED=1", "GOFLAGS=-mod=mod")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return filepath.Join(dir, "lib.so")
}

func TestTryLibrary(t *testing.T) {
	for _, c := range []struct{ name, init, want string }{
		{name: "comes up", init: ""},
		{name: "panics", init: `panic("no such table")`, want: "no such table"},
		{name: "exits", init: `os.Exit(3)`, want: "exit status 3"},
		{name: "panics in a goroutine", init: `go panic("late"); time.Sleep(time.Minute)`, want: "late"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &workspace{ctx: t.Context(), dir: t.TempDir(), log: t.Output()}
			err := w.tryLibrary(library(t, c.init))
			switch {
			case c.want == "" && err != nil:
				t.Errorf("got error %v, want none", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

// TestNotWritten leaves the file of before in place when what was built does not come up.
func TestNotWritten(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "moe")
	if err := os.WriteFile(target, []byte("before"), 0o755); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	w := &workspace{ctx: t.Context(), dir: t.TempDir(), log: t.Output()}
	if err := os.WriteFile(filepath.Join(w.dir, "go.mod"), []byte("module example.com/trial\n\ngo 1.25\n"), 0o644); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	main := []byte("package main\n\nfunc init() { panic(\"registered twice\") }\n\nfunc main() {}\n")
	err := w.compile(target, "moe", main, w.tryCommand)
	if err == nil || !strings.Contains(err.Error(), "registered twice") {
		t.Errorf("compile: got error %v, want one with the panic", err)
	}
	if got, err := os.ReadFile(target); string(got) != "before" {
		t.Errorf("the file holds %q (error %v), want what it held before", got, err)
	}
}

func TestTryEnds(t *testing.T) {
	began := time.Now()
	if err := try(t.Context(), 50*time.Millisecond, "sleep", "60"); err == nil || !strings.Contains(err.Error(), "within 50ms") {
		t.Errorf("got error %v, want one with the time", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := try(ctx, time.Minute, "sleep", "60"); err != context.Canceled {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("took %v, want the programs to be ended at once", took)
	}
}
