package transform

import (
	"testing"

	"github.com/itchyny/gojq"

	"mosn.io/moe/plugins/internal/plugintest"
)

// BenchmarkBody runs a program of jq over 10 KiB of JSON: by the library alone, by the plugin in a host, and, to be
// subtracted from that, in the host without it.
func BenchmarkBody(b *testing.B) {
	const program = `.items |= map({id, label: .name})`
	body := plugintest.JSON(10 << 10)
	b.Run("library", func(b *testing.B) {
		q, err := gojq.Parse(program)
		if err != nil {
			b.Fatalf("gojq.Parse: %v", err)
		}
		code, err := gojq.Compile(q)
		if err != nil {
			b.Fatalf("gojq.Compile: %v", err)
		}
		b.ReportAllocs()
		for b.Loop() {
			v, err := decodeJSON([]byte(body))
			if err != nil {
				b.Fatalf("decodeJSON: %v", err)
			}
			out, _ := code.RunWithContext(b.Context(), v).Next()
			if _, err := gojq.Marshal(out); err != nil {
				b.Fatalf("gojq.Marshal: %v", err)
			}
		}
	})
	b.Run("plugin", func(b *testing.B) {
		plugintest.BenchPost(b, body, "application/json", &Transform{Request: &Request{Body: []Step{{Jq: program}}}, Budget: 10e9})
	})
	b.Run("host", func(b *testing.B) { plugintest.BenchPost(b, body, "application/json", &plugintest.Collect{}) })
}
