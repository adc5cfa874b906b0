package mosn_test

import (
	"os"
	"reflect"
	"regexp"
	"testing"

	"mosn.io/api"
)

// TestDocumented finds every method that filters can call in docs/mosn.md.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/mosn.md")
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	for _, of := range []reflect.Type{
		reflect.TypeFor[api.StreamReceiverFilterHandler](), reflect.TypeFor[api.StreamSenderFilterHandler](),
		reflect.TypeFor[api.HeaderMap](), reflect.TypeFor[api.RequestInfo](), reflect.TypeFor[api.HostInfo](),
		reflect.TypeFor[api.Connection](), reflect.TypeFor[api.FilterManager](), reflect.TypeFor[api.Route](),
		reflect.TypeFor[api.RouteRule](), reflect.TypeFor[api.VirtualHost](), reflect.TypeFor[api.ReadFilterCallbacks](),
		reflect.TypeFor[api.ListenerFilterChainFactoryCallbacks](),
	} {
		t.Run(of.Name(), func(t *testing.T) {
			for i := range of.NumMethod() {
				name := of.Method(i).Name
				if !regexp.MustCompile("`[^`\\n]*\\b" + name + "\\b[^`\\n]*`").Match(text) {
					t.Errorf("the document lacks %s", name)
				}
			}
		})
	}
}
