// Package kind makes extensions of kinds that run in no chain, of what Envoy hands over as their names and
// configurations.
package kind

import (
	"fmt"
	"log/slog"
	"net/http"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/host/dynmod/internal/dynlog"
	"mosn.io/moe/framework/host/dynmod/internal/wire"
)

// Kind is a kind of extension.
type Kind struct {
	Key   string // for what is shared: the name of its package
	Words string // what one of them is called
	Field string // begins Envoy's fields for its name and configuration: FIELD_name, FIELD_config
	All   func() []*extension.Registration
	Can   extension.Capability
}

// Of returns the common part of the registrations of a kind, which all returns.
func Of[R interface {
	Base() *extension.Registration
}](all func() []R) func() []*extension.Registration {
	return func() []*extension.Registration { return extension.Bases(all()) }
}

// Acquire returns the extension that Envoy's configuration of it makes. Every successful Acquire needs a Release. The
// reason of a failure is also logged, as Envoy does not tell it.
func (k *Kind) Acquire(name string, raw []byte) (*assembly.Extension, error) {
	own, err := k.acquire(name, raw)
	if err != nil {
		slog.New(dynlog.Handler).Error("configuration rejected: "+err.Error(), k.Words, name)
	}
	return own, err
}

func (k *Kind) acquire(name string, raw []byte) (*assembly.Extension, error) {
	var names []string
	var reg *extension.Registration
	for _, r := range k.All() {
		names = append(names, r.Name)
		if r.Name == name {
			reg = r
		}
	}
	if reg == nil {
		return nil, fmt.Errorf("%s_name: %q: %s", k.Field, name, config.Unknown(k.Words, name, names))
	}
	doc, err := wire.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s_config: %w", k.Field, err)
	}
	return assembly.Acquire(host{k}, k.Key, reg, doc)
}

// host is core.ConfigHost for all extensions of a kind.
type host struct{ kind *Kind }

func (host) Name() string { return "dynmod" }

func (h host) Capabilities() uint32 { return uint32(h.kind.Can) }

func (host) Log() slog.Handler { return dynlog.Handler }

func (h host) Transport(string) (http.RoundTripper, error) {
	return nil, fmt.Errorf("a %s makes no requests over Envoy's clusters; use net/http: %w", h.kind.Words, extension.ErrUnsupported)
}
