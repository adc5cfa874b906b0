package bootstrap

import (
	"context"
	"log/slog"

	"mosn.io/moe/framework/internal/core"
)

// Host is what a host provides for one extension. Its methods before Ready may be called by any goroutine, and those from
// Ready on are called on Envoy's main thread, within Run, Initialized or Page.
type Host interface {
	// OnThread reports whether the caller runs on a thread of Envoy's, which must not wait.
	OnThread() bool
	// Wake has the main thread call Instance.Run soon. It must not wait.
	Wake()
	// Panicked and InitFailed count.
	Panicked()
	InitFailed()

	// Overview returns what is at work in the process.
	Overview() Overview

	// Ready tells Envoy that it need not wait for the extension any longer. It is called once at most.
	Ready()
	// AddPage reports whether Envoy has taken a page.
	AddPage(p *Page) bool
	// Counter, Gauge and Histogram look for one of Envoy's statistics.
	Counter(name string) (value uint64, ok bool)
	Gauge(name string) (value uint64, ok bool)
	Histogram(name string) (count uint64, sum float64, ok bool)
}

// Internals is for the framework's own packages, the only ones that can name its argument. What it leads to may change
// at any time.
func Internals(core.Internal) internals { return internals{} }

type internals struct{}

// NewInstance makes one extension, which reg and config are. The error says what is wrong with its pages.
func (internals) NewInstance(reg *Registration, config any, log *slog.Logger, h Host) (*Instance, error) {
	x := &Instance{host: h, reg: reg, config: config, log: log}
	x.server = &Server{x}
	x.ctx, x.cancel = context.WithCancelCause(context.Background())
	if err := x.askPages(); err != nil {
		return nil, err
	}
	return x, nil
}
