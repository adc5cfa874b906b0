package istio

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"

	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/internal/envoy"
)

// built returns a function that builds something of the checkout's once for all tests. It goes to $env, if that is set,
// instead.
func built(env, name string, args ...string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		if given := os.Getenv(env); given != "" {
			return given, nil
		}
		root, err := envoytest.Root()
		if err != nil {
			return "", err
		}
		path := filepath.Join(scratch, name)
		cmd := exec.Command("go", append([]string{"build", "-o", path}, args...)...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("building %s: %w\n%s", name, err, out)
		}
		return path, nil
	})
}

var (
	module = built("E2E_LIBMOE", "libmoe.so", "-buildmode=c-shared", "-trimpath", "./cmd/libmoe")
	moe    = built("E2E_MOE", "moe", "./cmd/moe")
)

// extproc is a running `moe extproc`.
type extproc struct {
	addr string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

var servingRE = regexp.MustCompile(`listen=(127\.0\.0\.1:\d+)`)

// extproc starts `moe extproc`, with a chain of its own that does nothing.
func (m *mesh) extproc() *extproc {
	m.Helper()
	path, err := moe()
	m.ok(err)
	file := filepath.Join(scratch, "extproc.yaml")
	m.ok(os.WriteFile(file, []byte("plugins: [{name: passthrough}]\n"), 0o600))
	x := &extproc{done: make(chan struct{})}
	x.cmd = exec.Command(path, "extproc", "-c", file, "--listen", "127.0.0.1:0", "--drain", "1s")
	out, err := x.cmd.StderrPipe()
	m.ok(err)
	m.ok(envoy.Run(x.cmd, func(error) { close(x.done) }))
	m.Cleanup(x.stop)
	serving := make(chan string)
	go func() {
		defer close(serving)
		lines, told := bufio.NewScanner(out), false
		for lines.Scan() {
			if s := servingRE.FindStringSubmatch(lines.Text()); s != nil && !told {
				told = true
				serving <- s[1]
			}
		}
	}()
	select {
	case x.addr = <-serving:
	case <-time.After(patience):
	}
	if x.addr == "" {
		m.Fatal("moe extproc does not serve")
	}
	return x
}

// stop ends the server and waits for that. It may be called again.
func (x *extproc) stop() {
	x.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-x.done:
	case <-time.After(patience):
		x.cmd.Process.Kill()
		<-x.done
	}
}
