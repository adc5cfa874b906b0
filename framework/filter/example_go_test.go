package filter_test

import (
	"context"
	"fmt"
	"time"

	"mosn.io/moe/framework/filter"
)

// Lookup asks something slow about each request.
type Lookup struct {
	Timeout time.Duration `json:"timeout" default:"100ms"`

	ask func(ctx context.Context, user string) (string, error)
}

func init() { filter.Register[Lookup]("lookup", filter.Authz) }

func (p *Lookup) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	return filter.Go(func(ctx context.Context) filter.Action {
		ctx, cancel := context.WithTimeout(ctx, p.Timeout)
		defer cancel()
		role, err := p.ask(ctx, h.Get("x-user")) // blocks this goroutine, and not Envoy's thread
		if err != nil {
			return filter.Fail(err)
		}
		h.Set("x-role", role) // it is still this plugin's turn
		return filter.Continue
	})
}

// Go decides later, off Envoy's thread.
func ExampleGo() {
	h := run(&Lookup{Timeout: time.Second, ask: func(_ context.Context, user string) (string, error) {
		time.Sleep(time.Millisecond)
		return user + "'s role", nil
	}})
	fmt.Println(h.Get("/", "x-user", "ann").Upstream.Header.Get("x-role"))
	// Output: ann's role
}
