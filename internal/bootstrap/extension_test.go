package bootstrap

import (
	"strings"
	"testing"
)

// The bootstrap has the extensions, in order.
func TestExtensions(t *testing.T) {
	o := tcpListener()
	o.Extensions = []Extension{{Name: "first", Config: map[string]any{"file": "list.txt"}}, {Name: "second"}}
	b, err := New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	p, err := YAML(b)
	if err != nil {
		t.Fatalf("YAML: %v", err)
	}
	text := string(p)
	first, second := strings.Index(text, "extension_name: first"), strings.Index(text, "extension_name: second")
	if first < 0 || second < first || !strings.Contains(text, "file: list.txt") {
		t.Errorf("the first extension is at %d, the second at %d:\n%s", first, second, text)
	}
}

func TestExtensionsRefused(t *testing.T) {
	o := tcpListener()
	o.Listeners[0].NetworkFilters, o.ExtProc = nil, &ExtProc{}
	o.Extensions = []Extension{{Name: "first"}}
	const want = "bootstrap: bootstrap extensions in Go run in Envoys"
	if err := o.Check(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the error is %v, want %q in it", err, want)
	}
}
