package mosn_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"

	"mosn.io/api"
	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/mosn"
	"mosn.io/pkg/variable"
)

// still is a host and a sink that do nothing.
type still struct{}

func (still) Attribute(string) (string, error)      { return "HTTP/2", nil }
func (still) Metadata(string, string) (any, error)  { return nil, filter.ErrNotFound }
func (still) SetMetadata(string, string, any) error { return nil }
func (still) FilterState(string) (string, error)    { return "", filter.ErrNotFound }
func (still) SetFilterState(string, string) error   { return nil }
func (still) ClearRouteCache() error                { return nil }
func (still) SetUpstreamHost(string, bool) error    { return nil }
func (still) Secret(string) (string, error)         { return "", nil }
func (still) Fetch(int) []core.Field                { return nil }
func (still) BufferLimit() int                      { return 0 }
func (still) Escaped()                              {}
func (still) Headers(core.Direction, bool)          {}
func (still) Data(core.Direction, []byte, bool)     {}
func (still) Trailers(core.Direction)               {}
func (still) Reset(string)                          {}
func (still) Post(f func())                         { f() }

// quiet is what still provides for a configuration.
type quiet struct{}

func (quiet) Name() string                                { return "bench" }
func (quiet) Capabilities() uint32                        { return ^uint32(0) }
func (quiet) Transport(string) (http.RoundTripper, error) { return nil, filter.ErrUnsupported }
func (quiet) Log() slog.Handler                           { return slog.DiscardHandler }

var requestFields = []core.Field{
	{Name: ":method", Value: "GET"},
	{Name: ":scheme", Value: "http"},
	{Name: ":authority", Value: "shop.example"},
	{Name: ":path", Value: "/"},
	{Name: "user-agent", Value: "bench"},
	{Name: "accept", Value: "*/*"},
	{Name: "x-request-id", Value: "1"},
	{Name: "x-forwarded-proto", Value: "http"},
	{Name: "x-real-ip", Value: "8.8.8.8"},
}

// reads is a filter that looks at one header, as most of MOSN's do, and plain is a plugin that does so.
type reads struct {
	handler  api.StreamReceiverFilterHandler
	variable string
}

func (r *reads) CreateFilterChain(_ context.Context, callbacks api.StreamFilterChainFactoryCallbacks) {
	callbacks.AddStreamReceiverFilter(&reads{variable: r.variable}, api.BeforeRoute)
}

func (r *reads) OnReceive(ctx context.Context, h api.HeaderMap, _ api.IoBuffer, _ api.HeaderMap) api.StreamFilterStatus {
	if _, ok := h.Get("x-real-ip"); !ok {
		r.handler.SendHijackReply(403, h)
		return api.StreamFilterStop
	}
	if r.variable != "" {
		_, _ = variable.GetString(ctx, r.variable)
	}
	return api.StreamFilterContinue
}

func (r *reads) SetReceiveFilterHandler(h api.StreamReceiverFilterHandler) { r.handler = h }
func (*reads) OnDestroy()                                                  {}

type plain struct {
	Unused string `json:"unused"`
}

func init() { filter.Register[plain]("plainreads", filter.Observe) }

func (*plain) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	if !h.Has("x-real-ip") {
		return filter.Reply(403, "")
	}
	return filter.Continue
}

// BenchmarkStream runs streams through one plugin: a plain one, and filters of MOSN's that do the same.
func BenchmarkStream(b *testing.B) {
	filters := func(variable string, never bool) chain.Plugin {
		typ := register(func(map[string]any) (api.StreamFilterChainFactory, error) { return &reads{variable: variable}, nil })
		mosn.Declare(typ, mosn.Declaration{Body: mosn.BodyNone, NeverBlocks: never})
		f := &mosn.Filters{StreamFilters: []mosn.StreamFilter{{Type: typ}}}
		env, closeEnv := extension.Internals(core.Internal{}).NewEnv(extension.EnvConfig{Host: quiet{}, ID: "mosn", Plugin: "mosn"})
		b.Cleanup(closeEnv)
		if err := f.Provision(env); err != nil {
			b.Fatalf("Provision: %v", err)
		}
		return chain.Plugin{Name: "mosn", Reg: filter.Lookup("mosn"), Config: f, Env: env}
	}
	for name, p := range map[string]chain.Plugin{
		"plain":      {Name: "plain", Reg: filter.Lookup("plainreads"), Config: new(plain)},
		"headers":    filters("", true),
		"a variable": filters("x-mosn-path", true),
	} {
		b.Run(name, func(b *testing.B) {
			c := chain.New([]chain.Plugin{p}, chain.Options{Misuse: func(p, w string) { b.Errorf("plugin %s %s", p, w) }})
			b.ReportAllocs()
			for b.Loop() {
				st := c.Start(still{}, still{})
				block := &st.H[core.RequestHeaders]
				block.Fields, block.Present = append(block.Fields[:0], requestFields...), true
				st.Headers(chain.Request, true)
				st.Done()
			}
		})
	}
}
