package probes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"mosn.io/moe/framework/network"
)

// Net is a network filter that behaves as its configuration asks.
type Net struct {
	Do     string `json:"do" enum:"pass,done,lines,upper,go,pipe,hello,facts,cluster,users,panic,hold" default:"pass"`
	In     string `json:"in" enum:",new,connection,read,write,close,go,pipe,timer"` // where to panic
	Output string `json:"output"`                                                   // a file, for a JSON object a line

	env    *network.Env
	events *network.Counter
}

func init() { network.RegisterPerConnection("probe", (*Net).newFilter) }

// Provision declares a metric.
func (n *Net) Provision(env *network.Env) error {
	n.env, n.events = env, env.Counter("events")
	return nil
}

func (n *Net) newFilter(c *network.Conn) *netFilter {
	n.panics("new")
	return &netFilter{Net: n}
}

func (n *Net) panics(in string) {
	if n.Do == "panic" && n.In == in {
		panic("as told")
	}
}

// netFilter is one connection's.
type netFilter struct {
	*Net
}

// OnConnection is network's.
func (f *netFilter) OnConnection(c *network.Conn) network.Action {
	f.events.Inc()
	f.panics("connection")
	switch f.Do {
	case "done":
		return network.Done
	case "go":
		return later(network.Continue)
	case "pipe":
		return network.Pipe(relay)
	case "hello":
		if err := errors.Join(c.Inject(network.Write, []byte("hello client\n")), c.Inject(network.Read, []byte("hello upstream\n"))); err != nil {
			return network.Reset(err.Error())
		}
	case "cluster":
		if err := c.SetUpstreamCluster("other"); err != nil {
			return network.Reset(err.Error())
		}
	case "users":
		use(c)
	case "panic":
		switch f.In {
		case "go":
			return network.Go(func(context.Context) network.Action { panic("as told") })
		case "pipe":
			return network.Pipe(func(context.Context, network.Peer, network.Peer) error { panic("as told") })
		case "timer":
			c.AfterFunc(time.Millisecond, func() { panic("as told") })
		}
	}
	return network.Continue
}

// OnRead is network's.
func (f *netFilter) OnRead(c *network.Conn, d *network.Data) network.Action {
	return f.data(c, d, "read")
}

// OnWrite is network's.
func (f *netFilter) OnWrite(c *network.Conn, d *network.Data) network.Action {
	return f.data(c, d, "write")
}

func (f *netFilter) data(c *network.Conn, d *network.Data, in string) network.Action {
	f.events.Inc()
	f.panics(in)
	switch f.Do {
	case "lines":
		if !d.End() {
			return network.Pass(bytes.LastIndexByte(d.Bytes(), '\n') + 1)
		}
	case "hold":
		return network.Hold
	case "upper":
		d.Set(bytes.ToUpper(d.Bytes()))
	case "go":
		return later(network.Continue)
	case "users":
		use(c)
	}
	return network.Continue
}

// OnClose is network's.
func (f *netFilter) OnClose(c *network.Conn, by network.Closer) {
	f.events.Inc()
	f.panics("close")
	if f.Do != "facts" {
		return
	}
	tls, terminated := c.TLS()
	up, _ := c.Upstream()
	_ = c.SetMetadata("probe", "number", 7)
	number, _ := c.Metadata("probe", "number")
	_ = c.SetFilterState("probe.state", "set")
	again := c.SetFilterState("probe.state", "again")
	state, _ := c.FilterState("probe.state")
	untyped := c.SetFilterState("envoy.network.transport_socket.original_dst_address", "no address")
	f.write(map[string]any{
		"by": by.String(), "id": c.ID(), "remote": c.RemoteAddr(), "local": c.LocalAddr(), "direct": c.DirectRemoteAddr(),
		"server_name": c.ServerName(), "tls": tls, "terminated": terminated, "upstream": up.Addr, "cluster": up.Cluster,
		"number": number, "state": state, "again": errors.Is(again, network.ErrExists),
		"refused": untyped != nil && !errors.Is(untyped, network.ErrExists),
	})
}

func (f *netFilter) write(v any) {
	file, err := os.OpenFile(f.Output, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		f.env.Log().Error("open", "error", err)
		return
	}
	defer file.Close()
	if err := json.NewEncoder(file).Encode(v); err != nil {
		f.env.Log().Error("write", "error", err)
	}
}

// later is an action that takes a while.
func later(a network.Action) network.Action {
	return network.Go(func(context.Context) network.Action {
		time.Sleep(2 * time.Millisecond)
		return a
	})
}

// use uses a connection from another goroutine, for as long as it lives and a little longer.
func use(c *network.Conn) {
	go func() {
		for late := 0; late < 10; {
			err := errors.Join(c.SetMetadata("probe", "text", strings.Repeat("x", 100)), c.Inject(network.Write, nil))
			c.RemoteAddr()
			c.ServerName()
			if errors.Is(err, network.ErrDone) {
				late++
			}
			time.Sleep(50 * time.Microsecond)
		}
	}()
}

// relay copies both directions, and their ends.
func relay(_ context.Context, client, upstream network.Peer) error {
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(upstream, client)
		done <- errors.Join(err, upstream.CloseWrite())
	}()
	_, err := io.Copy(client, upstream)
	return errors.Join(err, client.CloseWrite(), <-done)
}
