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

// TestOnePort starts two moe run for one port in the same moment: one serves, and the other says that the port is in use.
// Envoys would share it, each with some of its connections.
func TestOnePort(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir()) // where they take turns
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
					t.Errorf("one moe run ended with %v, want that the port is in use", err)
				}
			case <-time.After(time.Minute):
				t.Errorf("after a minute %d serve the port, want one, and the other to have ended", serving())
			}
			for start := time.Now(); serving() != 1 && time.Since(start) < time.Minute; {
				time.Sleep(20 * time.Millisecond)
			}
			if n := serving(); n != 1 {
				t.Errorf("%d serve the port, want 1", n)
			}
			stop()
			if err := <-ended; err != nil {
				t.Errorf("the moe run that served ended with %v", err)
			}
		})
	}
}
