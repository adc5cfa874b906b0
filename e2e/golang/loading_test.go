package golang

import (
	"fmt"
	"testing"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/conformance"
)

func hello(name string) m { return m{"header": "x-" + name, "value": "hello"} }

// One library is a dynamic module and a Golang library in one process, in either order of loading and in one listener,
// also where the loader resolves all symbols at once.
func TestBothHosts(t *testing.T) {
	for _, env := range [][]string{nil, {"LD_BIND_NOW=1"}} {
		t.Run(fmt.Sprint(env), func(t *testing.T) {
			for _, order := range []string{"dynmod first", "golang first", "together"} {
				t.Run(order, func(t *testing.T) {
					onEnvoys(t, env, func(b *bed) {
						dynmod := conformance.OwnListener("dynmod", nil, b.dynmod("hello", hello("dynmod")))
						golang := conformance.OwnListener("golang", nil, b.golang("hello", hello("golang")))
						both := conformance.OwnListener("both", nil, b.golang("hello", hello("golang")), b.dynmod("hello", hello("dynmod")))
						switch order {
						case "dynmod first":
							b.serve(dynmod)
							b.has("dynmod", "x-dynmod")
							b.serve(dynmod, golang, both)
						case "golang first":
							b.serve(golang)
							b.has("golang", "x-golang")
							b.serve(golang, dynmod, both)
						default:
							b.serve(both, dynmod, golang)
						}
						b.has("dynmod", "x-dynmod")
						b.has("golang", "x-golang")
						b.has("both", "x-golang", "x-dynmod")
					})
				})
			}
		})
	}
}

// has asks a listener and fails unless its response has these headers.
func (b *bed) has(listener string, headers ...string) {
	b.t.Helper()
	r := b.get(listener, client.Request{})
	for _, h := range headers {
		if r.Status != 200 || r.Header.Get(h) != "hello" {
			b.t.Errorf("%s: status %d, %s is %q", listener, r.Status, h, r.Header.Get(h))
		}
	}
}
