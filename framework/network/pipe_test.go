package network_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/network"
	"mosn.io/moe/framework/network/networktest"
)

// piped is a filter that lends its connections to f.
func piped(f func(ctx context.Context, client, upstream network.Peer) error) methods {
	return methods{connection: func(*network.Conn) network.Action { return network.Pipe(f) }}
}

// relay copies both directions, and their ends.
func relay(_ context.Context, client, upstream network.Peer) error {
	done := make(chan error)
	go func() {
		_, err := io.Copy(upstream, client)
		done <- errors.Join(err, upstream.CloseWrite())
	}()
	_, err := io.Copy(client, upstream)
	return errors.Join(err, client.CloseWrite(), <-done)
}

func TestPipe(t *testing.T) {
	c := connect(t, piped(relay), networktest.Peer{})
	for range 3 {
		c.FromClient("ab")
		c.FromUpstream("cd")
	}
	wantPassed(t, c, "ababab", "cdcdcd")
	c.EndFromClient("e")
	c.Eventually("the client's end", func() bool { return c.Ended(network.Read) })
	wantPassed(t, c, "abababe", "cdcdcd")
	c.EndFromUpstream("f")
	c.Eventually("the upstream's end", func() bool { return c.Ended(network.Write) })
	wantPassed(t, c, "abababe", "cdcdcdf")
}

// Much passes in both directions at once, although little of it may wait.
func TestPipeMuch(t *testing.T) {
	const size = 4 << 20
	big := strings.Repeat("0123456789abcdef", size/16)
	c := connect(t, piped(relay), networktest.Peer{BufferLimit: 64 << 10})
	go c.EndFromClient(big)
	c.EndFromUpstream(big)
	c.Eventually("the ends", func() bool { return c.Ended(network.Read) && c.Ended(network.Write) })
	if c.ToUpstream() != big || c.ToClient() != big {
		t.Errorf("%d and %d bytes have passed, want %d each, in order", len(c.ToUpstream()), len(c.ToClient()), size)
	}
}

// A function that returns leaves the rest to Envoy, from the first byte that it has not read.
func TestPipeReturns(t *testing.T) {
	conn := make(chan *network.Conn, 1)
	m := methods{
		connection: func(c *network.Conn) network.Action {
			conn <- c
			return network.Pipe(func(_ context.Context, client, upstream network.Peer) error {
				hello := make([]byte, 5)
				if _, err := io.ReadFull(client, hello); err != nil {
					return err
				}
				_, err := upstream.Write(bytes.ToUpper(hello))
				return err
			})
		},
		read: hold, // is not called
	}
	c := connect(t, m, networktest.Peer{})
	c.FromClient("hello world")
	wantPassed(t, c, "HELLO world", "")
	c.FromUpstream("ok")
	before := c.Crossings()
	c.FromClient("!")
	c.FromUpstream("!")
	wantPassed(t, c, "HELLO world!", "ok!")
	if n := c.Crossings(); n != before {
		t.Errorf("%d events have entered the filter after its function has returned", n-before)
	}
	if err := (<-conn).Close("enough"); err != nil {
		t.Errorf("Close: %v", err)
	}
	wantClosed(t, c, networktest.Closed{Details: "moe.script: enough"})
}

func TestPipeFails(t *testing.T) {
	for _, tc := range []struct {
		name string
		f    func(ctx context.Context, client, upstream network.Peer) error
		want networktest.Closed
	}{
		{
			"an error", func(context.Context, network.Peer, network.Peer) error { return errors.New("no") },
			networktest.Closed{Reset: true, Details: "moe.script: the function of Pipe failed"},
		},
		{
			"Close", func(_ context.Context, client, _ network.Peer) error {
				if _, err := client.Write([]byte("bye")); err != nil {
					return err
				}
				return client.Close()
			},
			networktest.Closed{Details: "moe.script: closed by the function of Pipe"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := connect(t, piped(tc.f), networktest.Peer{})
			wantClosed(t, c, tc.want)
			if got := c.ToClient(); !tc.want.Reset && got != "bye" {
				t.Errorf("the client has got %q, want bye", got)
			}
		})
	}
}

// What a function of Pipe waits for ends with the connection.
func TestPipeEndsWithConnection(t *testing.T) {
	failed := make(chan error, 3)
	c := connect(t, piped(func(ctx context.Context, client, upstream network.Peer) error {
		_, err := client.Read(make([]byte, 1))
		failed <- err
		_, err = upstream.Write([]byte("late"))
		failed <- err
		failed <- context.Cause(ctx)
		return err
	}), networktest.Peer{})
	c.Abort()
	for range 3 {
		if err := <-failed; !errors.Is(err, network.ErrDone) {
			t.Errorf("the error is %v, want ErrDone", err)
		}
	}
}

// What is too much for the client waits in the function.
func TestPipeWatermark(t *testing.T) {
	wrote := make(chan int, 100)
	c := connect(t, piped(func(_ context.Context, client, _ network.Peer) error {
		r := bufio.NewReader(client)
		for i := 0; ; i++ {
			if _, err := r.ReadByte(); err != nil {
				return err
			}
			if _, err := client.Write([]byte("x")); err != nil {
				return err
			}
			wrote <- i
		}
	}), networktest.Peer{})
	c.FromClient("1")
	<-wrote
	c.Watermark(true)
	c.FromClient("2")
	select {
	case <-wrote:
		t.Error("a write has returned although too much waits for the client")
	case <-time.After(50 * time.Millisecond):
	}
	c.Watermark(false)
	<-wrote
}

func TestPeerIsConn(t *testing.T) {
	checked := make(chan struct{})
	peer := networktest.Peer{
		Remote: netip.MustParseAddrPort("10.0.0.1:1"), Local: netip.MustParseAddrPort("10.0.0.2:2"),
		Upstream: &network.Upstream{Addr: netip.MustParseAddrPort("10.0.0.4:4")},
	}
	connect(t, piped(func(_ context.Context, client, upstream network.Peer) error {
		defer close(checked)
		want := []string{"10.0.0.1:1", "10.0.0.4:4", "10.0.0.2:2"}
		got := []string{client.RemoteAddr().String(), upstream.RemoteAddr().String(), client.LocalAddr().String()}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("addresses of the client, the upstream and Envoy (-want +got):\n%s", diff)
		}
		if err := client.SetDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Errorf("SetDeadline: %v", err)
		}
		_, err := client.Read(make([]byte, 1))
		if e, ok := err.(net.Error); !errors.Is(err, os.ErrDeadlineExceeded) || !ok || !e.Timeout() {
			t.Errorf("Read after its deadline: %v, want a time-out", err)
		}
		if _, err := client.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write after its deadline: %v, want a time-out", err)
		}
		if err := client.SetDeadline(time.Time{}); err != nil {
			t.Errorf("SetDeadline: %v", err)
		}
		if _, err := client.Write([]byte("x")); err != nil {
			t.Errorf("Write without a deadline: %v", err)
		}
		return nil
	}), peer)
	<-checked
}

// One direction gives the connection to a pipe while the other's method runs: the bytes at hand are the pipe's, once.
func TestPipeBeginsWithinRead(t *testing.T) {
	start := make(chan struct{})
	c := connect(t, methods{
		write: func(*network.Conn, *network.Data) network.Action {
			return network.Go(func(context.Context) network.Action {
				<-start
				return network.Pipe(relay)
			})
		},
		read: func(*network.Conn, *network.Data) network.Action {
			close(start)
			time.Sleep(20 * time.Millisecond) // for the outcome to be there when the method returns
			return network.Continue
		},
	}, networktest.Peer{})
	c.FromUpstream("a")
	c.FromClient("b")
	wantPassed(t, c, "b", "a")
	c.FromClient("c")
	wantPassed(t, c, "bc", "a")
}
