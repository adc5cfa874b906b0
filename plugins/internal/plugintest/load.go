package plugintest

import (
	"encoding/json"
	"maps"
	"testing"

	"mosn.io/moe/framework/filtertest"
)

// Load loads a plugin whose configuration is good but for changes, of which nil removes a field.
func Load(t *testing.T, plugin string, good, changes map[string]any) error {
	t.Helper()
	conf := maps.Clone(good)
	for k, v := range changes {
		if conf[k] = v; v == nil {
			delete(conf, k)
		}
	}
	text, err := json.Marshal(conf)
	if err != nil {
		t.Fatalf("json.Marshal: %v", err)
	}
	return new(filtertest.Host).Load(t, filtertest.Config{Name: plugin, JSON: string(text)})
}
