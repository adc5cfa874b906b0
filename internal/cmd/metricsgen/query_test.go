package main

import "testing"

// A query selects a metric by all names under which it is shown; one that does not exist is an error.
func TestSelector(t *testing.T) {
	for name, c := range map[string]struct {
		metric   string
		matchers []string
		want     string
		err      string
	}{
		"a counter": {
			metric: "moe.panics", want: `{__name__=~"(envoy_dynamicmodulescustom_)?moe_panics(_total)?"}`,
		},
		"a gauge": {
			metric: "moe.streams.active", want: `{__name__=~"(envoy_dynamicmodulescustom_)?moe_streams_active"}`,
		},
		"a histogram": {
			metric: "moe.phase.wait_us",
			want:   `{__name__=~"(envoy_dynamicmodulescustom_)?moe_phase_wait_us(_microseconds)?_bucket"}`,
		},
		"with a tag": {
			metric: "moe.config.loads", matchers: []string{`result!="ok"`},
			want: `{__name__=~"(envoy_dynamicmodulescustom_)?moe_config_loads(_total)?", result!="ok"}`,
		},
		"another metric": {metric: "moe.panic", err: "there is no metric moe.panic"},
		"another tag":    {metric: "moe.panics", matchers: []string{`phase="x"`}, err: "moe.panics has no tag phase"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := definitions().selector(c.metric, c.matchers...)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if got != c.want || text != c.err {
				t.Errorf("selector: got %s, error %q; want %s, error %q", got, text, c.want, c.err)
			}
		})
	}
}
