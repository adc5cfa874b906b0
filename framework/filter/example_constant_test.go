package filter_test

import (
	"fmt"
	"net/http"

	"mosn.io/moe/framework/filter"
)

// Frames keeps other sites from showing pages in frames, and needs no phase for it.
type Frames struct{}

// SetsHeaders gives every response one header, and takes another from it.
func (*Frames) SetsHeaders() (request, response http.Header) {
	return nil, http.Header{"X-Frame-Options": {"DENY"}, "X-Powered-By": nil}
}

func init() { filter.Register[Frames]("frames", filter.Transform) }

func ExampleHeaderSetter() {
	h := run(&Frames{})
	h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("x-powered-by", "PHP/8") })
	r := h.Get("/")
	fmt.Println(r.Header.Get("x-frame-options"), len(r.Header.Values("x-powered-by")))
	// Output: DENY 0
}
