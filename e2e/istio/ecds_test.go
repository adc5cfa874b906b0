package istio

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"mosn.io/moe/e2e/envoytest"
)

// TestUpdate changes a policy while a connection is open. Delivered by ECDS, which is the default, the change reaches
// requests of that very connection, and no listener drains; delivered in the listener, it ends the connection.
func TestUpdate(t *testing.T) {
	onEach(t, func(t *testing.T, bin envoytest.Binary) {
		m := newMesh(t, world, services)
		p := m.start(bin, gatewayNode)
		spec := func(value, delivery string) string {
			return policy("istio-system", "base", toGateway+"delivery: "+delivery+"\nplugins: ["+marks("x-moe", value)+"]")
		}
		m.policies(spec("one", "ecds"))
		d := p.open("0.0.0.0_80", "")
		m.eventually("first", func() error { return d.sees("www.example.com", "/", 200, "x-moe", "one") })
		c := p.connect("0.0.0.0_80")
		m.ok(c.sees("x-moe", "one"))
		before := p.listenerChanges()

		const rounds = 5
		var total, worst time.Duration
		for i := range rounds {
			value := fmt.Sprint("round", i)
			began := m.policies(spec(value, "ecds"))
			m.eventually("changed on the open connection", func() error { return c.sees("x-moe", value) })
			took := time.Since(began)
			total, worst = total+took, max(worst, took)
		}
		t.Logf("from a changed policy to changed behaviour by ECDS: %v on average, %v at worst",
			(total / rounds).Round(time.Millisecond), worst.Round(time.Millisecond))
		if after := p.listenerChanges(); after != before {
			t.Errorf("listeners were changed or drained: %v, before %v", after, before)
		}

		m.policies(spec("inline", "inline"))
		m.eventually("changed to inline", func() error { return d.sees("www.example.com", "/", 200, "x-moe", "inline") })
		m.eventually("the listener's connections end", func() error {
			if err := c.sees("x-moe", "inline"); errors.Is(err, errClosed) {
				return nil
			} else if err != nil {
				return err
			}
			return errors.New("the connection is still there")
		})
		if after := p.listenerChanges(); after == before {
			t.Error("the listener has not changed: the comparison proves nothing")
		}
	})
}

// listenerChanges counts what Envoy did to listeners since it started.
func (p *proxy) listenerChanges() string {
	p.m.Helper()
	var s string
	for _, name := range []string{"listener_modified", "listener_in_place_updated", "listener_added", "listener_removed"} {
		n, err := p.Stat(context.Background(), "listener_manager."+name)
		p.m.ok(err)
		s += fmt.Sprintf("%s %d, ", name, n)
	}
	return s
}

var errClosed = errors.New("the connection was closed")

// connection is one TCP connection, for one HTTP/1.1 request after the other.
type connection struct {
	conn net.Conn
	in   *bufio.Reader
}

func (p *proxy) connect(listener string) *connection {
	p.m.Helper()
	c, err := net.Dial("tcp", p.address(listener))
	p.m.ok(err)
	p.m.Cleanup(func() { c.Close() })
	return &connection{c, bufio.NewReader(c)}
}

// sees sends a request and returns an error unless the response header name is value; errClosed if there is no
// response, or if it announces the connection's end.
func (c *connection) sees(name, value string) error {
	c.conn.SetDeadline(time.Now().Add(patience))
	r, err := http.NewRequest(http.MethodGet, "http://www.example.com/", nil)
	if err != nil {
		return err
	}
	if err := r.Write(c.conn); err != nil {
		return errClosed
	}
	resp, err := http.ReadResponse(c.in, r)
	if err != nil || resp.Close {
		return errClosed
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return errClosed
	}
	if got := resp.Header.Get(name); resp.StatusCode != http.StatusOK || got != value {
		return fmt.Errorf("status %d, %s is %q, not %q", resp.StatusCode, name, got, value)
	}
	return nil
}
