package bridge

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/envoytest"
)

// initialiser is the library of ./plugins/initialiser, in as many copies as a test wants.
type initialiser struct {
	dir string
	lib []byte
}

// newInitialiser builds the library. Envoys that are started later run its initialiser as [initialiser.does] says.
func newInitialiser(t *testing.T) *initialiser {
	t.Helper()
	i := &initialiser{dir: t.TempDir()}
	path := filepath.Join(i.dir, "built.so")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", path, "./initialiser")
	cmd.Dir = "plugins"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building ./plugins/initialiser: %v\n%s", err, out)
	}
	var err error
	if i.lib, err = os.ReadFile(path); err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	t.Setenv("MOE_INITIALISER", filepath.Join(i.dir, "job"))
	t.Setenv("MOE_INITIALISED", filepath.Join(i.dir, "notes"))
	return i
}

// copy returns a new library, in the folder of t.
func (i *initialiser) copy(t *testing.T, name string) listen {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".so")
	if err := os.WriteFile(path, i.lib, 0o755); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	return listen{plugin: "passthrough", library: path}
}

// does sets what initialisers do from now on.
func (i *initialiser) does(t *testing.T, job string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(i.dir, "job"), []byte(job), 0o644); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
}

// ran returns the processes in which initialisers have run so far.
func (i *initialiser) ran(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(i.dir, "notes"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatalf("os.ReadFile: %v", err)
	}
	return strings.Fields(string(b))
}

// TestInitialisers has libraries end their process in several ways when they are loaded. Each is refused with the reason,
// Envoy lives on, and it accepts the same library once that is fixed.
func TestInitialisers(t *testing.T) {
	i := newInitialiser(t)
	onEnvoys(t, func(t *testing.T, b *bed) {
		other := b.serve(t, listen{plugin: "basic"})
		for _, c := range []struct{ does, says string }{
			{"panic", `initialisers end the process, by signal 6 \(Aborted\): panic: the table is; empty`},
			{"nil", `initialisers end the process, by signal 6 \(Aborted\): panic: assignment to entry in nil map`},
			{"exit", `initialisers end the process, with status 3: the licence has expired`},
			{"quiet", `initialisers end the process, with status 0`},
			{"signal", `initialisers end the process, by signal 9 \(Killed\)`},
			{"log", `initialisers end the process, with status 4: .*no connection to the vault`},
		} {
			t.Run(c.does, func(t *testing.T) {
				l := i.copy(t, c.does)
				i.does(t, c.does)
				said := b.refused(t, l)
				if !regexp.MustCompile(`library_path ` + regexp.QuoteMeta(l.library) + `: its ` + c.says).MatchString(said) {
					t.Errorf("the log should have %q:\n%s", c.says, said)
				}
				equal(t, "Envoy serves others", "200", serves(t, other))
				i.does(t, "nothing")
				equal(t, "the mended library", "200", serves(t, b.serve(t, l)))
			})
		}
	})
}

func serves(t *testing.T, s *site) string {
	t.Helper()
	return strconv.Itoa(s.do(t, client.Request{Path: "/"}).Status)
}

// TestInitialiserSurroundings looks at the process in which initialisers are tried: it must not inherit Envoy's sockets,
// and a program that the library starts there must not try initialisers again.
func TestInitialiserSurroundings(t *testing.T) {
	i := newInitialiser(t)
	onEnvoys(t, func(t *testing.T, b *bed) {
		b.serve(t, listen{plugin: "basic"})
		i.does(t, "surroundings")
		preload := ""
		if p := os.Getenv("BRIDGE_PRELOAD"); p != "" {
			preload = `"LD_PRELOAD=` + p + `" `
		}
		want := `status 5: found: [` + preload + `"/dev/null" "pipe" "pipe"]`
		if said := b.refused(t, i.copy(t, "surroundings")); !strings.Contains(said, want) {
			t.Errorf("the log should have %q:\n%s", want, said)
		}
	})
}

// TestInitialiserHangs has a library whose initialiser never returns. The bridge waits for it once, and not again.
func TestInitialiserHangs(t *testing.T) {
	t.Setenv("GOLANG_BRIDGE_PROBE", "15")
	i := newInitialiser(t)
	onEnvoys(t, func(t *testing.T, b *bed) {
		other := b.serve(t, listen{plugin: "basic"})
		i.does(t, "hang")
		l := i.copy(t, "hang")
		before := i.ran(t)
		const says = `its initialisers do not end within 15 seconds`
		for range 2 {
			if said := b.refused(t, l); !strings.Contains(said, says) {
				t.Errorf("the log should have %q:\n%s", says, said)
			}
			equal(t, "Envoy serves others", "200", serves(t, other))
		}
		ran := i.ran(t)[len(before):]
		if len(ran) != 2 { // the library's process, and one that it has started
			t.Fatalf("these processes ran: %q", ran)
		}
		for _, pid := range ran {
			if err := envoytest.Poll(patience, func() error { return ended(pid) }); err != nil {
				t.Errorf("envoytest.Poll: %v", err)
			}
		}
		i.does(t, "nothing")
		equal(t, "another file", "200", serves(t, b.serve(t, i.copy(t, "mended"))))
	})
}

// ended returns an error while a process runs.
func ended(pid string) error {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return nil
	}
	if _, state, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(state, "Z") {
		return nil // nobody has asked how it ended
	}
	return fmt.Errorf("process %s should have been ended: %s", pid, stat)
}

// TestInitialisersTwice counts in which processes initialisers run, where they can be tried and where not.
func TestInitialisersTwice(t *testing.T) {
	i := newInitialiser(t)
	i.does(t, "nothing")
	nothing := func(*testing.T) {}
	// module is a copy of the bridge's plain build, since the other build is never preloaded.
	module := func(t *testing.T, name string) {
		t.Helper()
		t.Setenv("E2E_BRIDGE", "")
		t.Setenv("BRIDGE_PRELOAD", "")
		dir := t.TempDir()
		envoytest.Bridge(t, dir)
		p, err := os.ReadFile(filepath.Join(dir, "libgolang_bridge.so"))
		if err != nil {
			t.Fatalf("os.ReadFile: %v", err)
		}
		path := filepath.Join(dir, name)
		replace(t, path, string(p))
		t.Setenv("E2E_BRIDGE", path)
	}
	for name, c := range map[string]struct {
		before, while func(t *testing.T) // Envoy starts, and runs
		tried         bool
		warned        string
	}{
		"tried": {nothing, nothing, true, ""},
		"off":   {func(t *testing.T) { t.Setenv("GOLANG_BRIDGE_PROBE", "off") }, nothing, false, ""},
		"a path that cannot be preloaded": {
			func(t *testing.T) { module(t, "a space in it.so") }, nothing, false, `own path .* has a space`,
		},
		"a file that cannot be preloaded any more": {
			func(t *testing.T) { module(t, "bridge.so") },
			func(t *testing.T) { replace(t, os.Getenv("E2E_BRIDGE"), "an update that failed") },
			false, `the bridge was not preloaded there: .*bridge\.so`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEnvoysAfter(t, c.before, func(t *testing.T, b *bed) {
				b.serve(t, listen{plugin: "basic"})
				c.while(t)
				before, mark := i.ran(t), b.Log.Mark()
				l := i.copy(t, "twice")
				equal(t, "it serves", "200", serves(t, b.serve(t, l)))
				l.more = m{"library_id": "the same by another name"}
				equal(t, "it serves again", "200", serves(t, b.serve(t, l)))
				ran, want := i.ran(t)[len(before):], []string{strconv.Itoa(b.Pid())}
				if c.tried && len(ran) > 0 { // first in some other process
					want = append([]string{ran[0]}, want...)
				}
				if !slices.Equal(ran, want) || (c.tried && ran[0] == ran[1]) {
					t.Errorf("initialisers ran in the processes %q; Envoy is %d", ran, b.Pid())
				}
				const cannot = `cannot try the initialisers of .*twice\.so in a process of their own.*`
				all := b.Log.Count(mark, cannot)
				if good := b.Log.Count(mark, cannot+c.warned); all != good || (all == 1) != (c.warned != "") {
					t.Errorf("%d warnings, %d of them as they should be:\n%s", all, good, b.Log.Since(mark))
				}
			})
		})
	}
}
