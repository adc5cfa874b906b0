// Package connlimit bounds how many connections there are at a time.
package connlimit

import (
	"embed"
	"errors"
	"net/netip"
	"sync"

	"mosn.io/moe/framework/network"
	"mosn.io/moe/plugins/internal/ipset"
)

// ConnLimit resets connections beyond a number: of all, of one client address, or of one server name.
type ConnLimit struct {
	// Max is how many there may be in all; 0 is unlimited.
	Max int `json:"max" validate:"min=0"`
	// PerAddress is how many one client address, or one network of that size, may have.
	PerAddress int `json:"perAddress" validate:"min=0"`
	// IPv4Bits is the size of the networks that are counted together, for IPv4.
	IPv4Bits int `json:"ipv4Bits" default:"32" validate:"min=1,max=32"`
	// IPv6Bits is the same for IPv6; a client usually has a whole /64.
	IPv6Bits int `json:"ipv6Bits" default:"64" validate:"min=1,max=128"`
	// PerName is how many there may be for one server name of TLS. Connections without a name are counted together.
	PerName int `json:"perName" validate:"min=0"`
	// Except lists networks and addresses whose connections are neither counted nor reset.
	Except []netip.Prefix `json:"except"`

	except  *ipset.Set
	active  *network.Gauge
	refused map[string]*network.Counter

	mu     sync.Mutex
	total  int
	byAddr map[netip.Prefix]int
	byName map[string]int
}

//go:embed README.md schema.json
var docs embed.FS

func init() { network.RegisterPerConnection("connlimit", (*ConnLimit).newFilter, network.Docs(docs)) }

// Validate refuses a configuration that limits nothing.
func (l *ConnLimit) Validate() error {
	if l.Max == 0 && l.PerAddress == 0 && l.PerName == 0 {
		return errors.New("max, perAddress and perName are all 0: give one limit")
	}
	return nil
}

// NeedsServerName is network.ServerNamer's.
func (l *ConnLimit) NeedsServerName() bool { return l.PerName > 0 }

// Provision begins to count.
func (l *ConnLimit) Provision(env *network.Env) error {
	l.except = ipset.New(l.Except)
	l.byAddr, l.byName = map[netip.Prefix]int{}, map[string]int{}
	l.active = env.Gauge("active")
	refused := env.Tag("limit").Counter("refused")
	l.refused = map[string]*network.Counter{}
	for _, limit := range []string{"max", "perAddress", "perName"} {
		l.refused[limit] = refused.With(limit)
	}
	return nil
}

// connection is one that may be counted.
type connection struct {
	limit   *ConnLimit
	addr    netip.Prefix // of the client, where that is counted
	name    string
	counted bool
}

func (l *ConnLimit) newFilter(*network.Conn) *connection { return &connection{limit: l} }

// OnConnection counts the connection, or resets it.
func (c *connection) OnConnection(conn *network.Conn) network.Action {
	l := c.limit
	addr := conn.RemoteAddr().Addr().Unmap()
	if l.except.Has(addr) {
		return network.Done
	}
	c.addr = ipset.Network(addr, l.IPv4Bits, l.IPv6Bits)
	c.name = conn.ServerName()
	if limit := l.add(c); limit != "" {
		l.refused[limit].Inc()
		conn.Log().Info("refused", "limit", limit, "address", addr, "server_name", c.name)
		return network.Reset(limit)
	}
	l.active.Add(1)
	return network.Done
}

// add counts a connection unless that is one too many, and returns which limit it is beyond.
func (l *ConnLimit) add(c *connection) (beyond string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.Max > 0 && l.total >= l.Max:
		return "max"
	case l.PerAddress > 0 && l.byAddr[c.addr] >= l.PerAddress:
		return "perAddress"
	case l.PerName > 0 && l.byName[c.name] >= l.PerName:
		return "perName"
	}
	l.total++
	if l.PerAddress > 0 {
		l.byAddr[c.addr]++
	}
	if l.PerName > 0 {
		l.byName[c.name]++
	}
	c.counted = true
	return ""
}

// OnClose forgets the connection.
func (c *connection) OnClose(*network.Conn, network.Closer) {
	if !c.counted {
		return
	}
	l := c.limit
	l.active.Add(-1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	drop(l.byAddr, c.addr)
	drop(l.byName, c.name)
}

// drop counts one less, and keeps nothing for those that have none.
func drop[K comparable](counts map[K]int, key K) {
	if counts[key] <= 1 {
		delete(counts, key)
	} else {
		counts[key]--
	}
}
