package plugintest

import (
	"fmt"
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// Collect is a plugin that waits for the body of a request and does nothing with it: the measure of what a plugin costs
// that does.
type Collect struct{}

func init() { filter.Register[Collect]("collect", filter.Observe) }

// OnRequest lets the request pass.
func (*Collect) OnRequest(filter.Stream, filter.RequestHeaders, filter.Body) filter.Action {
	return filter.Continue
}

// BenchPost measures whole requests of a browser with a body, "" for none, through plugins as [filtertest.New] takes them.
// They should all pass.
func BenchPost(b *testing.B, body, contentType string, plugins ...any) {
	h := filtertest.New(b, plugins...)
	method := "GET"
	header := Browser
	if body != "" {
		method, header = "POST", append([]string{"content-type", contentType}, Browser...)
	}
	b.ReportAllocs()
	for b.Loop() {
		if r := h.Do(filtertest.NewRequest(method, "/a/path?with=a+query", body, header...)); r.Status != 200 {
			b.Fatalf("a request gets %d %s, want 200", r.Status, r.Body)
		}
	}
}

// JSON returns an object of about n bytes: {"items":[{"id":0,"name":"…"},…]}.
func JSON(n int) string {
	var s strings.Builder
	s.WriteString(`{"items":[`)
	for i := 0; s.Len() < n-50; i++ {
		if i > 0 {
			s.WriteByte(',')
		}
		fmt.Fprintf(&s, `{"id":%d,"name":"the name of item %d"}`, i, i)
	}
	return s.String() + "]}"
}
