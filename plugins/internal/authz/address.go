package authz

import (
	"net/netip"
	"sync/atomic"

	"mosn.io/moe/framework/filter"
)

// addressCheck warns, once for a configuration, when rules decide by an address that clients can choose.
type addressCheck struct {
	env    *filter.Env
	warned atomic.Bool
}

// StartAddress is what [Mode.Start] does for Source, for a plugin that uses nothing else of Mode. Call it in Provision.
func (c *Mode) StartAddress(env *filter.Env) { c.address = &addressCheck{env: env} }

// Source is [Request.Source] for rules that decide by it. If Envoy takes the address from a header that any client can
// send, it warns once: with use_remote_address Envoy adds the peer's address to x-forwarded-for of every request (unless
// skip_xff_append is set), so that a request without this header shows that use_remote_address is missing.
func (c *Mode) Source(r *Request) netip.AddrPort {
	if w := c.address; w != nil && !r.Headers.Has("x-forwarded-for") && w.warned.CompareAndSwap(false, true) {
		w.env.Log().Warn("clients can choose the address that rules decide by, with the header x-forwarded-for: " +
			"set use_remote_address in Envoy's HTTP connection manager, and xff_num_trusted_hops if proxies stand before it")
	}
	return r.Source()
}
