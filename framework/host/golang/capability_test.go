package golang_test

import (
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/host/golang/internal/fakeenvoy"
)

// prompt needs what contrib Envoys have and the bridge has not.
type prompt struct{}

func init() {
	filter.Register[prompt]("fakeprompt", filter.Transform, filter.Needs(filter.CanPipePromptly))
}

func (*prompt) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	return filter.Continue
}

func TestPromptPipes(t *testing.T) {
	for _, c := range []struct {
		name   string
		bridge bool
	}{
		{name: "a contrib Envoy has them", bridge: false},
		{name: "the bridge has not", bridge: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			fakeenvoy.BodyWaits(c.bridge)
			t.Cleanup(func() { fakeenvoy.BodyWaits(false) })
			id, err := fakeenvoy.Configure("fakeprompt", wire(t, "{}"))
			if refused := err != nil; refused != c.bridge {
				t.Errorf("a plugin that needs CanPipePromptly: refused is %t, want %t", refused, c.bridge)
			}
			if err == nil {
				fakeenvoy.Forget(id)
			}
			released(t)
		})
	}
}
