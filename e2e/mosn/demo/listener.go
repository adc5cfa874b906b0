package demo

import (
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"mosn.io/api"
)

func init() { api.RegisterListener("demo_accept", newAccept) }

// accept is a listener filter that does what its configuration's "do" says.
type accept struct {
	do, addr string
	seen     sync.Map // the connections that it has been asked about
}

func newAccept(conf map[string]any) (api.ListenerFilterChainFactory, error) {
	do, _ := conf["do"].(string)
	addr, _ := conf["addr"].(string)
	switch do {
	case "deny", "later", "hand over":
		return &accept{do: do, addr: addr}, nil
	}
	return nil, fmt.Errorf("do: %q is nothing that demo_accept does", do)
}

func (f *accept) OnAccept(cb api.ListenerFilterChainFactoryCallbacks) api.FilterStatus {
	if f.do == "deny" {
		if host, _, err := net.SplitHostPort(cb.Conn().RemoteAddr().String()); err != nil || host == f.addr {
			_ = cb.Conn().Close()
			return api.Stop
		}
		return api.Continue
	}
	// MOSN asks again where nobody has the address, and when the chain goes on.
	if _, again := f.seen.LoadOrStore(cb.Conn(), true); again {
		return api.Continue
	}
	if f.do == "later" {
		time.AfterFunc(20*time.Millisecond, func() { cb.ContinueFilterChain(cb.GetOriContext(), true) })
		return api.Stop
	}
	host, text, _ := net.SplitHostPort(f.addr)
	port, err := strconv.Atoi(text)
	if err != nil {
		_ = cb.Conn().Close()
		return api.Stop
	}
	cb.SetOriginalAddr(host, port)
	cb.UseOriginalDst(cb.GetOriContext())
	return api.Stop
}
