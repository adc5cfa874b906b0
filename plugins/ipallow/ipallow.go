// Package ipallow lets connections pass by the address that they come from.
package ipallow

import (
	"embed"
	"strconv"

	"mosn.io/moe/framework/network"
	"mosn.io/moe/plugins/internal/iplists"
)

// IPAllow resets the connections whose client address is in a list, or in none.
type IPAllow struct {
	iplists.Lists
	// Direct looks at the address of the socket's other end, not at the one that the PROXY protocol tells.
	Direct bool `json:"direct"`
	// Shadow resets nothing; it logs and counts what would be reset.
	Shadow bool `json:"shadow"`

	denied *network.Counter // those that were reset, or would have been
}

//go:embed README.md schema.json
var docs embed.FS

func init() { network.Register[IPAllow]("ipallow", network.Docs(docs)) }

// Provision reads the files and goes on to follow them.
func (p *IPAllow) Provision(env *network.Env) error {
	p.denied = env.Tag("shadow").Counter("denied").With(strconv.FormatBool(p.Shadow))
	return p.Start(env)
}

// OnConnection looks the address up. A connection that comes from no IP address is in no list.
func (p *IPAllow) OnConnection(c *network.Conn) network.Action {
	addr := c.RemoteAddr()
	if p.Direct {
		addr = c.DirectRemoteAddr()
	}
	reason := p.Refuses(addr.Addr())
	if reason == "" {
		return network.Continue
	}
	c.Log().Info("denied", "address", addr.Addr(), "reason", reason, "shadow", p.Shadow)
	p.denied.Inc()
	if p.Shadow {
		return network.Continue
	}
	return network.Reset(reason)
}
