package mosn

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"mosn.io/moe/e2e/envoytest"
)

// program is something that the tests need, and that is built once for all of them.
type program struct {
	name  string
	given string // the environment variable with the path of one that is there
	build func(out string) *exec.Cmd

	once sync.Once
	path string
	err  error
}

// of returns the program's path.
func (p *program) of(t testing.TB) string {
	t.Helper()
	p.once.Do(func() {
		if p.path = os.Getenv(p.given); p.path != "" {
			return
		}
		root, err := envoytest.Root()
		if err != nil {
			p.err = err
			return
		}
		p.path = filepath.Join(programs, p.name)
		cmd := p.build(p.path)
		cmd.Dir = filepath.Join(root, cmd.Dir)
		if text, err := cmd.CombinedOutput(); err != nil {
			p.err = fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, text)
		}
	})
	if p.err != nil {
		t.Fatalf("cannot build what the test needs: %v", p.err)
	}
	return p.path
}

// programs is the folder of what was built.
var programs string

// The programs: the command moe, MOSN, and a libmoe.so.
var (
	command = program{name: "moe", given: "E2E_MOE", build: func(out string) *exec.Cmd {
		return exec.Command("go", "build", "-o", out, "./cmd/moe")
	}}
	peer = program{name: "mosn", given: "E2E_MOSN", build: func(out string) *exec.Cmd {
		cmd := exec.Command("go", "build", "-o", out, "./peer")
		cmd.Dir = "e2e/mosn"
		return cmd
	}}
)

// library has moe build MOSN's filters, a filter of one's own and the suite's into a library, each from its folder, as
// docs/mosn.md says.
func library(t testing.TB) string {
	t.Helper()
	moe := command.of(t)
	libmoe.build = func(out string) *exec.Cmd {
		return exec.Command(moe, "build", "--only", "", "--with", "./plugins/mosn", "--with", "./docs/examples/mosnfilter",
			"--with", "./e2e/mosn/demo", "--with", "./e2e/probes", "-o", out)
	}
	return libmoe.of(t)
}

var libmoe = program{name: "libmoe.so", given: "E2E_MODULE"}
