// Package testhost makes extensions of kinds that run in no chain, for the in-memory hosts of those kinds.
package testhost

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"testing"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/internal/core"
)

var shared = extension.Internals(core.Internal{})

// Of returns the registration among all whose struct is T, or nil.
func Of[T any](all []*extension.Registration) *extension.Registration {
	for _, r := range all {
		if r.Config == reflect.TypeFor[T]() {
			return r
		}
	}
	return nil
}

// New is Provision for kinds that need no Env.
func New[T any](t testing.TB, name string, reg *extension.Registration, conf string) (*T, error) {
	t.Helper()
	value, _, err := Provision[T](t, name, reg, conf)
	return value, err
}

// Provision makes the extension whose registered struct is T from a configuration as an operator writes it, YAML or JSON:
// decoded strictly, validated, provisioned. It is closed when the test ends. reg is T's registration, or nil if there is
// none; name is what the in-memory host is called. The error is what an operator would see.
func Provision[T any](
	t testing.TB, name string, reg *extension.Registration, conf string,
) (*T, *extension.Env, error) {
	t.Helper()
	if reg == nil {
		return nil, nil, fmt.Errorf("%s: %v is not registered", name, reflect.TypeFor[T]())
	}
	doc, err := config.Parse([]byte(conf))
	if err != nil {
		return nil, nil, err
	}
	value := reg.New()
	if err := (&config.Decoder{Plugin: reg.Name}).Decode(doc, value); err != nil {
		return nil, nil, err
	}
	env, closeEnv := shared.NewEnv(extension.EnvConfig{
		Host: host{name, slog.NewTextHandler(t.Output(), nil)}, ID: reg.Name, Plugin: reg.Name, Decode: config.Decode,
	})
	t.Cleanup(closeEnv)
	if p, ok := value.(extension.Provisioner); ok {
		if err := p.Provision(env); err != nil {
			return nil, nil, config.FromPlugin("", reg.Config, err).Of(reg.Name)
		}
	}
	shared.Seal(env)
	if c, ok := value.(io.Closer); ok {
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Errorf("Close of %s: %v", reg.Name, err)
			}
		})
	}
	return value.(*T), env, nil
}

// Counted returns the sum of a counter that the extension of env has declared, over all tags: "denied" for
// env.Counter("denied"). One that it has not declared fails the test.
func Counted(t testing.TB, env *extension.Env, name string) int64 {
	t.Helper()
	full := "moe." + env.Plugin + "." + name
	for _, m := range shared.Metrics(env) {
		if m.Name == full {
			return m.Sum()
		}
	}
	t.Errorf("there is no metric %s", full)
	return 0
}

type host struct {
	name string
	log  slog.Handler
}

func (h host) Name() string { return h.name }

func (host) Capabilities() uint32 { return uint32(extension.CanRecordHistogram) }

func (h host) Log() slog.Handler { return h.log }

func (host) Transport(string) (http.RoundTripper, error) { return nil, extension.ErrUnsupported }
