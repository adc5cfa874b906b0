package validate

import (
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"mosn.io/moe/plugins/internal/plugintest"
)

// BenchmarkBody validates 10 KiB of JSON: by the library alone, by the plugin in a host, and, to be subtracted
// from that, in the host without it.
func BenchmarkBody(b *testing.B) {
	body := plugintest.JSON(10 << 10)
	config := map[string]any{
		"type": "object", "required": []any{"items"},
		"properties": map[string]any{"items": map[string]any{"type": "array", "items": map[string]any{
			"type": "object", "required": []any{"id", "name"},
			"properties": map[string]any{"id": map[string]any{"type": "integer"}, "name": map[string]any{"type": "string", "maxLength": 100}},
		}}},
	}
	schema, err := compileSchema(config, false)
	if err != nil {
		b.Fatalf("compileSchema: %v", err)
	}
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			v, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
			if err == nil {
				err = schema.Validate(v)
			}
			if err != nil {
				b.Fatalf("the body should be valid: %v", err)
			}
		}
	})
	b.Run("plugin", func(b *testing.B) {
		plugintest.BenchPost(b, body, asJSON, &Validate{Request: &Message{Schema: config}})
	})
	b.Run("host", func(b *testing.B) { plugintest.BenchPost(b, body, asJSON, &plugintest.Collect{}) })
}
