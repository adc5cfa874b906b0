package cli

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestProject does what a plugin's author does: it makes a new plugin, runs its tests, builds moe with it, and runs it in
// a real Envoy until a signal stops it.
func TestProject(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("MOE", checkout(t))
	if status, stdout, stderr := moe(t, "new", "greet"); status != 0 || !strings.Contains(stdout, "cd greet") {
		t.Fatalf("moe new: got status %d, %s%s; want 0", status, stdout, stderr)
	}
	if status, _, stderr := moe(t, "new", "greet"); status != 1 || !strings.Contains(stderr, "not empty") {
		t.Errorf("a second moe new: got status %d and %q, want an error", status, stderr)
	}
	if out, err := command("greet", "make", "test").CombinedOutput(); err != nil {
		t.Errorf("the new plugin's tests: got error %v, want none:\n%s", err, out)
	}
	withoutSchema(t)
	status, stdout, stderr := moe(t, "build", "--with", "./greet", "--only", "hello,accesslog", "-o", "out/libmoe.so",
		"--cli", "out/moe")
	if status != 0 || stdout != "out/libmoe.so\nout/moe\n" {
		t.Fatalf("moe build: got status %d, %s%s; want 0", status, stdout, stderr)
	}
	if left, err := filepath.Glob("out/*"); err != nil || len(left) != 2 {
		t.Errorf("the folder out: got %v and error %v, want libmoe.so and moe", left, err)
	}

	const file = "greet/moe.yaml"
	t.Run("knows its plugins", func(t *testing.T) {
		out, err := command(".", "out/moe", "plugins").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "greet") || !strings.Contains(string(out), "accesslog") ||
			strings.Contains(string(out), "tokenauth") {
			t.Errorf("moe plugins: got error %v and the following, want greet and accesslog without tokenauth:\n%s",
				err, out)
		}
		if out, err := command(".", "out/moe", "validate", "-c", file).CombinedOutput(); err != nil {
			t.Errorf("moe validate: got error %v, want none:\n%s", err, out)
		}
		// The moe that runs this test has no plugin greet.
		if status, _, stderr := moe(t, "validate", "-c", file); status != 1 || !strings.Contains(stderr, "plugins[0].name") {
			t.Errorf("validate without the plugin: got status %d and %q, want 1 and plugins[0].name", status, stderr)
		}
	})
	t.Run("describes its plugins", func(t *testing.T) {
		want, err := os.ReadFile("greet/schema.json")
		if err != nil {
			t.Fatalf("os.ReadFile: %v", err)
		}
		for name, args := range map[string][]string{
			"by the sources that it was built from": {"schema", "greet"},
			"by the sources in a folder":            {"schema", "greet", "--source", "greet"},
		} {
			t.Run(name, func(t *testing.T) {
				got, err := command(".", "out/moe", args...).Output()
				if diff := cmp.Diff(string(want), string(got)); err != nil || diff != "" {
					t.Errorf("moe %v: got error %v, want what moe new wrote (-want +got):\n%s", args, err, diff)
				}
			})
		}
	})
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		t.Run(sig.String(), func(t *testing.T) { serveAndStop(t, file, sig) })
	}
	t.Run("refused by Envoy", func(t *testing.T) {
		bad := write(t, "{listen: 127.0.0.1:0, plugins: [{name: tokenauth, config: {secret: s}}]}")
		out, err := command(".", "out/moe", "run", "--no-validate", "-c", bad).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "plugins[0].name") ||
			!strings.Contains(string(out), "moe: starting Envoy") {
			t.Errorf("moe run: got error %v and the following, want an error about plugins[0].name from a started Envoy:\n%s",
				err, out)
		}
	})
}

// withoutSchema removes the embedded schema.json from the new plugin: many plugins have none.
func withoutSchema(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile("greet/greet.go")
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	without := strings.Replace(string(text), "README.md schema.json", "README.md", 1)
	if without == string(text) {
		t.Fatal("the new plugin does not embed schema.json, want it embedded before the test removes it")
	}
	if err := os.WriteFile("greet/greet.go", []byte(without), 0o644); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
}

// serveAndStop runs out/moe with the new plugin's file, sends requests and stops it with sig.
func serveAndStop(t *testing.T, file string, sig os.Signal) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	free := write(t, strings.Replace(string(text), "127.0.0.1:10000", "127.0.0.1:0", 1)+"- name: accesslog\n")
	c := command(".", "out/moe", "run", "-c", free, "--concurrency", "1")
	// Under nohup, this test and its children ignore SIGHUP. Once the test handles the signal, its children no longer
	// ignore it.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	temp := t.TempDir()
	c.Env = append(os.Environ(), "TMPDIR="+temp)
	var stdout, stderr output
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Start(); err != nil {
		t.Fatalf("c.Start: %v", err)
	}
	defer c.Process.Kill()
	url := stderr.wait(t, regexp.MustCompile(`serving (http://\S+) `))
	for path, want := range map[string]int{"/": 200, "/internal/x": 404} {
		t.Run("GET "+path, func(t *testing.T) {
			resp, err := http.Get(url + path)
			if err != nil {
				t.Fatalf("http.Get: %v", err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != want || want == 200 && resp.Header.Get("X-Greet") != "shop" {
				t.Errorf("got %s and header %v, want %d (and x-greet: shop with 200); body:\n%s",
					resp.Status, resp.Header, want, body)
			}
		})
	}
	stdout.wait(t, regexp.MustCompile(`(?m)^\{.*("status":404).*\}$`)) // printed by a plugin, without a prefix
	stderr.wait(t, regexp.MustCompile(`(?m)^envoy: .*(hidden).*$`))    // logged by a plugin, with a prefix
	c.Process.Signal(sig)
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("moe run after %v: got error %v, want none:\n%s", sig, err, stderr.String())
		}
	case <-time.After(20 * time.Second):
		t.Errorf("moe run still runs 20 s after %v, want it to end:\n%s", sig, stderr.String())
	}
	if _, err := http.Get(url); err == nil {
		t.Error("Envoy still answers after moe run has ended")
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("moe run left temporary files behind: got %v and error %v, want none", left, err)
	}
}

func TestBuildRefuses(t *testing.T) {
	t.Setenv("GOPROXY", "off")
	t.Setenv("MOE", checkout(t))
	so := filepath.Join(t.TempDir(), "libmoe.so")
	for want, args := range map[string][]string{
		"--only helo: MoE has no such plugin, but accesslog, ": {"--only", "helo"},
		"nothing to compile in":                                {"--only", ""},
		"--with /nowhere: stat /nowhere":                       {"--with", "/nowhere"},
		"neither the folder nor one above has a go.mod":        {"--with", os.TempDir()},
		"--with @v1: expected MODULE":                          {"--with", "@v1"},
		"--moe /tmp: no checkout of mosn.io/moe":               {"--moe", "/tmp"},
		"--with example.com/none: go get: exit status 1":       {"--with", "example.com/none"},
	} {
		t.Run(want, func(t *testing.T) {
			status, _, stderr := moe(t, append([]string{"build", "-o", so}, args...)...)
			if status != 1 || !strings.Contains(stderr, want) {
				t.Errorf("%v: got status %d and %q, want 1 and %q", args, status, stderr, want)
			}
		})
	}
	if _, err := os.Stat(so); err == nil {
		t.Errorf("moe build wrote %s despite an error", so)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("MOE", checkout(t))
	for want, args := range map[string][]string{
		"lower-case letters and digits":         {"My-Plugin"},
		"cannot be the name":                    {"func"},
		"MoE has a plugin hello already":        {"hello"},
		"is not the path of a Go module":        {"mine", "--module", "a b"},
		"--moe /tmp: no checkout of mosn.io/mo": {"mine", "--moe", "/tmp"},
	} {
		t.Run(want, func(t *testing.T) {
			if status, _, stderr := moe(t, append([]string{"new"}, args...)...); status != 1 || !strings.Contains(stderr, want) {
				t.Errorf("%v: got status %d and %q, want 1 and %q", args, status, stderr, want)
			}
		})
	}
	if left, _ := filepath.Glob("*"); len(left) > 0 {
		t.Errorf("moe new left files behind despite an error: %v", left)
	}
}

func checkout(t *testing.T) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	root, err := filepath.Abs(filepath.Join(filepath.Dir(file), "../../.."))
	if err != nil {
		t.Fatalf("filepath.Abs: %v", err)
	}
	return root
}

func command(dir, name string, args ...string) *exec.Cmd {
	if strings.Contains(name, "/") {
		name, _ = filepath.Abs(name)
	}
	c := exec.Command(name, args...)
	c.Dir = dir
	return c
}

// output collects what a process prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// wait waits until the output matches re and returns what the first group matches.
func (o *output) wait(t *testing.T, re *regexp.Regexp) string {
	t.Helper()
	for range 300 {
		if m := re.FindStringSubmatch(o.String()); m != nil {
			return m[1]
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("no match for %v within 30 s:\n%s", re, o.String())
	return ""
}
