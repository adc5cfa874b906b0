package envoytest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
)

// Admin returns a page of Envoy's admin interface.
func (e *Envoy) Admin(path string) (string, error) {
	b, err := e.Get(context.Background(), path)
	return string(b), err
}

// Stats returns the counters and gauges whose name matches re.
func (e *Envoy) Stats(re string) (map[string]int64, error) {
	s, err := e.Admin("/stats?format=json&filter=" + url.QueryEscape(re))
	if err != nil {
		return nil, err
	}
	var page struct {
		Stats []struct {
			Name  string
			Value json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(s), &page); err != nil {
		return nil, fmt.Errorf("stats page: %w", err)
	}
	m := map[string]int64{}
	for _, st := range page.Stats {
		var n int64
		if json.Unmarshal(st.Value, &n) == nil {
			m[st.Name] = n
		}
	}
	return m, nil
}

// ListenerAddress returns where the listener name listens.
func (e *Envoy) ListenerAddress(name string) (string, error) {
	return e.Listener(context.Background(), name)
}
