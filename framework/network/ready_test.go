package network_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/network"
	"mosn.io/moe/framework/network/networktest"
)

// What a filter behind answers does not tell of an upstream: what is for the upstream waits on.
func TestAnswerIsNoUpstream(t *testing.T) {
	c := connect(t, methods{write: func(c *network.Conn, _ *network.Data) network.Action {
		if err := c.Inject(network.Read, []byte("ping")); err != nil {
			t.Errorf("Inject: %v", err)
		}
		return network.Continue
	}}, networktest.Peer{NotReady: true})
	c.FromUpstream("a")
	time.Sleep(50 * time.Millisecond)
	wantPassed(t, c, "", "a")
	c.Ready()
	wantPassed(t, c, "ping", "a")
}

// A function of Pipe gets on although the filter itself keeps Envoy from reading more.
func TestPipeWhileReadingStops(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<16)
	c := connect(t, methods{connection: func(*network.Conn) network.Action {
		return network.Go(func(context.Context) network.Action {
			time.Sleep(20 * time.Millisecond) // all of big comes meanwhile
			return network.Pipe(relay)
		})
	}}, networktest.Peer{BufferLimit: len(big)})
	c.EndFromClient(big)
	c.EndFromUpstream("")
	c.Eventually("the end", func() bool { return c.Ended(network.Read) })
	wantPassed(t, c, big, "")
}

// What a function of Pipe writes waits while there is no upstream, in the function once it is much.
func TestPipeWithoutUpstream(t *testing.T) {
	wrote := make(chan struct{}, 1000)
	connect(t, piped(func(_ context.Context, _, upstream network.Peer) error {
		chunk := make([]byte, maxSent/4)
		for range cap(wrote) {
			if _, err := upstream.Write(chunk); err != nil {
				return err
			}
			wrote <- struct{}{}
		}
		return nil
	}), networktest.Peer{NotReady: true})
	time.Sleep(100 * time.Millisecond)
	if n := len(wrote); n != 4 {
		t.Errorf("%d writes have returned without an upstream, want 4", n)
	}
}

// maxSent is what may be on its way to the upstream.
const maxSent = 256 << 10
