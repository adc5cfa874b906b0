package bootstrap

import (
	"strings"
	"testing"
)

// acceptListener has a listener filter.
func acceptListener() Options {
	o := tcpListener()
	o.Listeners[0].ListenerFilters = []ListenerFilter{{Name: "first", Config: map[string]any{"mark": "web"}}}
	return o
}

// Listener filters in Go stand before Envoy's TLS inspector, which may see what they have left.
func TestListenerFilters(t *testing.T) {
	b, err := New(acceptListener())
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	p, err := YAML(b)
	if err != nil {
		t.Fatalf("YAML: %v", err)
	}
	text := string(p)
	ours, inspector := strings.Index(text, "filter_name: first"), strings.Index(text, "envoy.filters.listener.tls_inspector")
	if ours < 0 || inspector < ours || !strings.Contains(text, "mark: web") {
		t.Errorf("the filter stands at %d, the TLS inspector at %d:\n%s", ours, inspector, text)
	}
}

func TestListenerFiltersRefused(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(o *Options)
	}{
		{"a host that has none", "listeners[0].listenerFilters: listener filters in Go run in Envoys", func(o *Options) {
			o.Listeners[0].NetworkFilters = nil
			o.ExtProc = &ExtProc{}
		}},
		{"HTTP/3", "listeners[0].listenerFilters: they see TCP", func(o *Options) {
			o.Listeners[0].HTTP3 = true
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := acceptListener()
			c.change(&o)
			if err := o.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q in it", err, c.want)
			}
		})
	}
}
