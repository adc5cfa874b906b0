package filter_test

import (
	"fmt"

	"mosn.io/moe/framework/filter"
)

// Teapot answers what asks for coffee. The configuration struct is the plugin.
type Teapot struct {
	// Message is the answer.
	Message string `json:"message" default:"I'm a teapot"`
}

func init() { filter.Register[Teapot]("teapot", filter.Access) }

// OnRequestHeaders is the only phase that it needs.
func (t *Teapot) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	if h.URL().Path == "/coffee" {
		return filter.Reply(418, t.Message, filter.WithHeader("x-pot", "tea"))
	}
	return filter.Continue
}

// A reply passes the response phases of the plugins before the one that replies, as an upstream's response would.
func ExampleReply() {
	h := run(&Teapot{Message: "short and stout"})
	r := h.Get("/coffee")
	fmt.Println(r.Status, r.Body, r.Header.Get("x-pot"))
	fmt.Println(h.Get("/tea").Status)
	// Output:
	// 418 short and stout tea
	// 200
}
