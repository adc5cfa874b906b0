package quota

import (
	"testing"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	_ "mosn.io/moe/plugins/keyauth"
)

func consumer(name string) *filter.Consumer {
	return &filter.Consumer{Name: name, Credentials: map[string]map[string]any{"keyauth": {"key": name}}}
}

func TestQuota(t *testing.T) {
	h := &filtertest.Host{
		Consumers:       []*filter.Consumer{consumer("alice"), consumer("bob"), consumer("carol")},
		ConsumerPlugins: map[string][]any{"alice": {&Quota{Requests: 3, Window: time.Hour}}},
	}
	if err := h.Load(t, filtertest.Config{Name: "keyauth", JSON: `{}`}, &Quota{Requests: 1, Window: time.Hour}); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	for name, want := range map[string]int{"alice": 3, "bob": 1, "carol": 1} {
		t.Run(name, func(t *testing.T) {
			for i := range 5 {
				r := h.Get("/", "x-api-key", name)
				if passes := r.Status == 200; passes != (i < want) || !passes && (r.Status != 429 || r.Header.Get("retry-after") == "") {
					t.Errorf("%s: request %d: %d", name, i, r.Status)
				}
			}
		})
	}
	if n := h.Metric("refused"); n != 10 {
		t.Errorf("%d requests were refused", n)
	}
}

func TestWindow(t *testing.T) {
	q := &Quota{Requests: 1, Window: time.Minute}
	now := time.Now()
	for _, step := range []struct {
		name       string
		after      time.Duration
		left, wait int
	}{
		{name: "the first request", after: 0, left: 0, wait: 60},
		{name: "half a window later", after: 30 * time.Second, left: -1, wait: 30},
		{name: "at the end of the window", after: 59500 * time.Millisecond, left: -1, wait: 1},
		{name: "in the next window", after: time.Minute, left: 0, wait: 60},
	} {
		t.Run(step.name, func(t *testing.T) {
			if left, wait := q.take("a", now.Add(step.after)); left != step.left || wait != step.wait {
				t.Errorf("take: got %d left and %d s to wait, want %d and %d", left, wait, step.left, step.wait)
			}
		})
	}
	if err := (&Quota{Requests: 1}).Validate(); err == nil {
		t.Error("no window is taken")
	}
}
