package network_test

import (
	"context"
	"testing"

	"mosn.io/moe/framework/network"
	"mosn.io/moe/framework/network/networktest"
)

// Nothing goes on to the upstream within an event of the write direction, for which the test host looks, and yet it does.
func TestWithinWrite(t *testing.T) {
	inject := func(t *testing.T, c *network.Conn) {
		if err := c.Inject(network.Read, []byte("ping")); err != nil {
			t.Errorf("Inject: %v", err)
		}
	}
	t.Run("an injection", func(t *testing.T) {
		c := connect(t, methods{write: func(c *network.Conn, _ *network.Data) network.Action {
			inject(t, c)
			inject(t, c)
			return network.Continue
		}}, networktest.Peer{})
		c.FromUpstream("a")
		wantPassed(t, c, "pingping", "a")
	})
	t.Run("and the end", func(t *testing.T) {
		c := connect(t, methods{write: func(c *network.Conn, d *network.Data) network.Action {
			inject(t, c)
			if err := c.End(network.Read); err != nil {
				t.Errorf("End: %v", err)
			}
			return network.Done
		}}, networktest.Peer{})
		c.FromUpstream("a")
		wantPassed(t, c, "ping", "a")
		c.Eventually("the end", func() bool { return c.Ended(network.Read) })
	})
	t.Run("before the connection closes", func(t *testing.T) {
		c := connect(t, methods{write: func(c *network.Conn, _ *network.Data) network.Action {
			inject(t, c)
			return network.Close("enough")
		}}, networktest.Peer{})
		c.FromUpstream("a")
		wantClosed(t, c, networktest.Closed{Details: "moe.script: enough"})
		wantPassed(t, c, "ping", "")
	})
	t.Run("a reset drops it", func(t *testing.T) {
		c := connect(t, methods{write: func(c *network.Conn, _ *network.Data) network.Action {
			inject(t, c)
			return network.Reset("enough")
		}}, networktest.Peer{})
		c.FromUpstream("a")
		wantClosed(t, c, networktest.Closed{Reset: true, Details: "moe.script: enough"})
		wantPassed(t, c, "", "")
	})
	t.Run("a function of Go that has kept the filters behind", func(t *testing.T) {
		var conn *network.Conn
		release := make(chan struct{})
		c := connect(t, methods{
			connection: func(c *network.Conn) network.Action {
				conn = c
				return network.Go(func(context.Context) network.Action {
					<-release
					return network.Continue
				})
			},
			read: lines,
		}, networktest.Peer{})
		for _, chunk := range []string{"a\n", "b\n"} {
			c.FromClient(chunk)
		}
		close(release)
		for range 100 { // one of these is likely to find what the function has returned
			c.FromUpstream("x")
		}
		inject(t, conn)
		c.Eventually("all", func() bool { return len(c.ToUpstream()) == 8 && len(c.ToClient()) == 100 })
	})
}
