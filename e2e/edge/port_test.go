package edge

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/cmd/moe/cli"
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

			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var logs [2]log
			ended := make(chan error, 2)
			for i := range logs {
				c := cli.New()
				c.SetArgs([]string{"run", "-c", w.file, "--envoy", s.bin.Path, "--module", s.module, "--concurrency", "1"})
				c.SetOut(io.Discard)
				c.SetErr(&logs[i])
				go func() { ended <- c.ExecuteContext(ctx) }()
			}
			serving := func() (n int) {
				for i := range logs {
					n += strings.Count(logs[i].String(), "moe: serving ")
				}
				return n
			}
			select {
			case err := <-ended:
				if err == nil || !strings.Contains(err.Error(), "is in use") {
					t.Errorf("the first moe run to end: got error %v, want that the port is in use", err)
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
			stop()
			if err := <-ended; err != nil {
				t.Errorf("the moe run that served: got error %v, want none", err)
			}
		})
	}
}
