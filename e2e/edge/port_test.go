package edge

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"mosn.io/moe/e2e/envoytest"
	_ "mosn.io/moe/plugins/hello"
)

// TestOnePort starts moe run twice at the same moment for one port: one serves, and the other reports that the port is in
// use. By themselves, two Envoys would share the port, and each would get some of the connections.
func TestOnePort(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir()) // holds the lock with which they take turns
	bins, err := envoytest.Find()
	if err != nil {
		t.Fatalf("envoytest.Find: %v", err)
	}
	s := &site{bin: bins[0], module: module(t)}
	for round := range 3 {
		t.Run(fmt.Sprintf("round %d", round), func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatalf("net.Listen: %v", err)
			}
			w := &watched{t: t, file: t.TempDir() + "/moe.yaml"}
			w.write(fmt.Sprintf("{listen: %q, plugins: [{name: hello}]}", ln.Addr()))
			ln.Close()

			var logs [2]log
			ended := make(chan int, 2)
			var moes [2]*exec.Cmd
			for i := range moes {
				c := exec.Command(os.Args[0], "run", "-c", w.file, "--envoy", s.bin.Path, "--module", s.module, "--concurrency", "1")
				c.Env = append(os.Environ(), asMoe+"=1")
				c.Stderr = &logs[i]
				moes[i] = c
			}
			for i, c := range moes {
				if err := c.Start(); err != nil {
					t.Fatalf("starting moe: %v", err)
				}
				t.Cleanup(func() { c.Process.Kill() })
				go func() {
					c.Wait()
					ended <- i
				}()
			}
			serving := func() (n int) {
				for i := range logs {
					n += strings.Count(logs[i].String(), "moe: serving ")
				}
				return n
			}
			first := 0
			select {
			case first = <-ended:
				if text := logs[first].String(); !strings.Contains(text, "is in use") {
					t.Errorf("the first moe run to end: got %v and log %q, want that the port is in use", moes[first].ProcessState, text)
				}
			case <-time.After(time.Minute):
				t.Errorf("after a minute, both still run and %d serve the port; want one to serve and the other to end", serving())
			}
			for start := time.Now(); serving() != 1 && time.Since(start) < time.Minute; {
				time.Sleep(20 * time.Millisecond)
			}
			if n := serving(); n != 1 {
				t.Errorf("got %d that serve the port, want 1", n)
			}
			other := moes[1-first]
			if err := other.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatalf("stopping the moe run that serves: %v", err)
			}
			<-ended
			if !other.ProcessState.Success() {
				t.Errorf("the moe run that served: got %v, want status 0", other.ProcessState)
			}
		})
	}
}
