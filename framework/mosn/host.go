package mosn

import (
	"sync"

	"mosn.io/api"
)

// host is an upstream's host as far as a stream or a connection knows it.
type host struct {
	address, name string
	health        *hostHealth
	unsupported   func(method, reason string) error
}

// hostHealth is what filters have said about hosts, by their addresses.
type hostHealth struct {
	mu sync.Mutex
	m  map[string]api.HealthFlag
}

func (h *hostHealth) change(address string, f func(api.HealthFlag) api.HealthFlag) api.HealthFlag {
	h.mu.Lock()
	defer h.mu.Unlock()
	flags := f(h.m[address])
	if flags == 0 {
		delete(h.m, address)
		return 0
	}
	if h.m == nil {
		h.m = map[string]api.HealthFlag{}
	}
	h.m[address] = flags
	return flags
}

// Hostname returns the host's name, or its address where Envoy tells no name: it tells network filters only.
func (h *host) Hostname() string { return h.name }

// Metadata returns nothing: Envoy does not tell filters a host's.
func (h *host) Metadata() api.Metadata { return api.Metadata{} }

// AddressString returns the host's address.
func (h *host) AddressString() string { return h.address }

// Weight returns 1: Envoy does not tell filters a host's.
func (h *host) Weight() uint32 { return 1 }

// SupportTLS reports false: Envoy does not tell filters.
func (h *host) SupportTLS() bool { return false }

// ClearHealthFlag clears what SetHealthFlag has set.
func (h *host) ClearHealthFlag(flag api.HealthFlag) {
	h.health.change(h.address, func(f api.HealthFlag) api.HealthFlag { return f &^ flag })
}

// ContainHealthFlag reports whether the filters of this list have set a flag of the host.
func (h *host) ContainHealthFlag(flag api.HealthFlag) bool { return h.HealthFlag()&flag != 0 }

// SetHealthFlag sets a flag that the filters of this list see. Envoy's load balancer does not: outlier_detection of the
// cluster is what takes a host out.
func (h *host) SetHealthFlag(flag api.HealthFlag) {
	h.health.change(h.address, func(f api.HealthFlag) api.HealthFlag { return f | flag })
	_ = h.unsupported("HostInfo.SetHealthFlag", "a filter cannot take a host out of Envoy's load balancing; "+
		"use the cluster's outlier detection")
}

// HealthFlag returns the flags that the filters of this list have set.
func (h *host) HealthFlag() api.HealthFlag {
	return h.health.change(h.address, func(f api.HealthFlag) api.HealthFlag { return f })
}

// Health reports whether no flag is set. Envoy sends requests to hosts that are healthy for it.
func (h *host) Health() bool { return h.HealthFlag() == 0 }
