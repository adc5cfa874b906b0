package assembly

import (
	"fmt"
	"log/slog"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/logs"
	"mosn.io/moe/framework/internal/refs"
)

// Extension is a provisioned extension of a kind that runs in no chain, such as an access logger. Whoever acquires one
// with the same configuration shares it.
type Extension struct {
	refs.Share[digest]
	kind  string
	value any
	env   *extension.Env
	close func()
}

var extensions refs.Table[digest, *Extension]

// Acquire returns the extension of a kind that reg and doc, which is generic data as config.Parse returns it, make; the
// first that asks provisions it. The error names every mistake (config.Errors). Every successful Acquire needs a
// Release.
func Acquire(host core.ConfigHost, kind string, reg *extension.Registration, doc any) (*Extension, error) {
	reader := &config.SecretReader{}
	h := newHash()
	for _, part := range []any{kind, host.Name(), reg.Name} {
		h.value(part)
	}
	if doc == nil {
		doc = map[string]any{}
	}
	h.value(doc)
	h.secrets(doc, reader)
	fresh := &Extension{kind: kind}
	return extensions.Acquire(h.sum(), fresh, func() error { return fresh.provision(host, reg, doc, reader) })
}

// Check checks doc as Acquire does, and provisions nothing. It returns the configuration, a pointer to the registered
// struct.
func Check(reg *extension.Registration, doc any, caps extension.Capability) (any, error) {
	d, err := decodeAlone(reg, doc, caps, nil)
	if err != nil {
		return nil, err
	}
	return d.value, nil
}

func decodeAlone(
	reg *extension.Registration, doc any, caps extension.Capability, reader *config.SecretReader,
) (*decoding, error) {
	if lacking := reg.Needs &^ caps; lacking != 0 {
		return nil, config.Errors{{Plugin: reg.Name, Msg: fmt.Sprintf(
			"needs %v, which this host cannot; docs/hosts.md tells which can", lacking)}}
	}
	d := &config.Decoder{Plugin: reg.Name, Reader: reader}
	into := reg.New()
	if err := d.Decode(doc, into); err != nil {
		return nil, err
	}
	return &decoding{into, d.Secrets()}, nil
}

func (x *Extension) provision(
	host core.ConfigHost, reg *extension.Registration, doc any, reader *config.SecretReader,
) error {
	d, err := decodeAlone(reg, doc, capabilities(host), reader)
	if err != nil {
		return err
	}
	r := recipe{reg: reg, id: reg.Name, decoding: d, reader: reader, logs: logs.Standard}
	x.value = d.value
	x.env, x.close, err = r.provision(host, func(err error) config.Errors {
		return config.FromPlugin("", reg.Config, err).Of(reg.Name)
	})
	if err == nil {
		shared.Seal(x.env)
	}
	return err
}

// Value returns the configuration, a pointer to the registered struct.
func (x *Extension) Value() any { return x.value }

// Metrics returns what it has declared.
func (x *Extension) Metrics() []*core.Metric { return shared.Metrics(x.env) }

// Log returns the logger to the host's log, with the extension's name.
func (x *Extension) Log() *slog.Logger { return x.env.Log() }

// Release drops a reference; the last one closes the extension, and returns when it is closed.
func (x *Extension) Release() {
	if extensions.Release(x) {
		x.close()
	}
}
