package probes

import (
	"fmt"
	"net/netip"
	"strings"

	"mosn.io/moe/framework/udp"
)

// UDP is a UDP filter that does with datagrams what its configuration asks for.
type UDP struct {
	Do   string `json:"do" enum:"pass,drop,replace,reply,send,facts,users,panic" default:"pass"`
	Text string `json:"text"` // what replace and reply make

	datagrams *udp.Counter
	sizes     *udp.Histogram
}

func init() { udp.Register[UDP]("probe") }

// Provision declares metrics.
func (u *UDP) Provision(env *udp.Env) error {
	u.datagrams, u.sizes = env.Counter("datagrams"), env.Histogram("sizes")
	return nil
}

// OnDatagram is udp's.
func (u *UDP) OnDatagram(d *udp.Datagram, p []byte) udp.Action {
	u.datagrams.Inc()
	u.sizes.Record(uint64(len(p)))
	switch u.Do {
	case "drop":
		if strings.HasPrefix(string(p), "drop") {
			return udp.Drop
		}
	case "replace":
		return udp.Replace([]byte(u.Text))
	case "reply":
		return udp.Reply([]byte(u.Text))
	case "send":
		return sends(d, string(p))
	case "facts":
		return udp.Reply([]byte(fmt.Sprintf("%v %v %d", d.RemoteAddr(), d.LocalAddr(), len(p))))
	case "users":
		go useDatagram(d)
	case "panic":
		panic("as told")
	}
	clear(p) // which is a copy
	return udp.Continue
}

// sends sends "to ADDRESS" to each address in a text, and says whether that was allowed.
func sends(d *udp.Datagram, text string) udp.Action {
	for _, to := range strings.Fields(text) {
		addr, err := netip.ParseAddrPort(to)
		if err == nil {
			err = d.Send(addr, []byte("to "+to))
		}
		if err != nil {
			return udp.Reply([]byte(to + ": " + err.Error()))
		}
	}
	return udp.Reply([]byte("sent"))
}

// useDatagram uses a datagram from another goroutine, until its end and a little longer.
func useDatagram(d *udp.Datagram) {
	for late := 0; late < 10; {
		if d.Send(d.RemoteAddr(), []byte("from elsewhere")) != nil {
			late++
		}
		d.LocalAddr()
	}
}
