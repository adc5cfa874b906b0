package golang

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/dynmod"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/upstream"
)

type a = conformance.A

const patience = 30 * time.Second

// bed is one Envoy for a test.
type bed struct {
	*envoytest.Envoy
	t    *testing.T
	host *Host
	up   *upstream.Server
}

// onEnvoys runs f with each Envoy of the matrix, with more in its environment.
func onEnvoys(t *testing.T, env []string, f func(b *bed)) {
	h := &Host{}
	conformance.OnEnvoys(t, h, nil, envoytest.Options{Env: env}, func(t *testing.T, e *envoytest.Envoy, up *upstream.Server) {
		f(&bed{e, t, h, up})
	})
}

// golang is the filter under test, dynmod the same library as a dynamic module.
func (b *bed) golang(name string, doc any) m {
	f, err := b.host.Filter(b.t, name, doc)
	if err != nil {
		b.t.Fatal(err)
	}
	return f.HTTP[0]
}

func (b *bed) dynmod(name string, doc any) m {
	f, err := (&dynmod.Host{}).Filter(b.t, name, doc)
	if err != nil {
		b.t.Fatal(err)
	}
	filter := f.HTTP[0]
	filter["name"] = "dynmod"
	return filter
}

// serve has Envoy serve these listeners and no others.
func (b *bed) serve(listeners ...m) {
	b.t.Helper()
	if err := b.SetListeners(listeners); err != nil {
		b.t.Fatal(err)
	}
}

// address waits for a listener.
func (b *bed) address(name string) (addr string) {
	b.t.Helper()
	if err := envoytest.Poll(patience, func() (err error) {
		addr, err = b.ListenerAddress(name)
		return err
	}); err != nil {
		b.t.Fatal(err)
	}
	return addr
}

func (b *bed) get(listener string, r client.Request) *client.Response {
	b.t.Helper()
	resp, err := client.Do(b.address(listener), r)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp
}

// live asks the plugin golanglive, in the listener of that name.
func (b *bed) live(listener string) (all map[string]int, err error) {
	resp, err := client.Do(b.address(listener), client.Request{})
	if err != nil {
		return nil, err
	}
	if resp.Status != 200 {
		return nil, fmt.Errorf("status %d", resp.Status)
	}
	return all, json.Unmarshal([]byte(resp.Body), &all)
}
