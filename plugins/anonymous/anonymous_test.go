package anonymous

import (
	"fmt"
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	_ "mosn.io/moe/plugins/keyauth"
)

func TestAnonymous(t *testing.T) {
	for _, one := range []bool{false, true} {
		t.Run(fmt.Sprintf("one=%v", one), func(t *testing.T) {
			listed := &filter.Consumer{Name: "guest", Groups: []string{"guests"}}
			h := &filtertest.Host{AnyScheme: one, ConsumerHeader: "x-who", Consumers: []*filter.Consumer{
				{Name: "tom", Credentials: map[string]map[string]any{"keyauth": {"key": "k1"}}}, listed,
			}}
			if err := h.Load(t, filtertest.Config{Name: "keyauth", JSON: `{}`}, &Anonymous{Consumer: "guest"}); err != nil {
				t.Fatalf("h.Load: %v", err)
			}
			for key, want := range map[string]string{"k1": "tom", "": "guest", "wrong": ""} {
				t.Run(fmt.Sprintf("%q", key), func(t *testing.T) {
					var header []string
					if key != "" {
						header = []string{"x-api-key", key}
					}
					r := h.Get("/", header...)
					switch {
					case want == "":
						if r.Status != 401 || r.Upstream != nil {
							t.Errorf("%s: a wrong key passes: %d", key, r.Status)
						}
					case r.Status != 200 || r.Upstream.Header.Get("x-who") != want:
						t.Errorf("key %q: got %d and %v, want 200 and x-who: %s", key, r.Status, r.Upstream, want)
					}
				})
			}
			if r := h.Get("/"); r.Metadata["moe/consumer_groups"] == nil {
				t.Error("the listed consumer's groups do not count:", r.Metadata)
			}
			// Without the listing, the consumer is only a name; and the change holds for the next request.
			if err := h.SetConsumers(nil); err != nil {
				t.Fatalf("h.SetConsumers: %v", err)
			}
			if r := h.Get("/"); r.Status != 200 || r.Metadata["moe/consumer"] != "guest" || r.Metadata["moe/consumer_groups"] != nil {
				t.Errorf("got %d and %v, want 200 for guest in no group", r.Status, r.Metadata)
			}
			if n := h.Metric("moe.anonymous.requests"); n != 3 {
				t.Errorf("%d requests are counted", n)
			}
		})
	}
}

func TestAlone(t *testing.T) {
	h := filtertest.New(t, filtertest.Config{Name: "anonymous", JSON: `{}`})
	if r := h.Get("/"); r.Status != 200 || r.Metadata["moe/consumer"] != "anonymous" {
		t.Errorf(`r.Status = %d, want 200; r.Metadata["moe/consumer"] = %v, want %v: %v`,
			r.Status, r.Metadata["moe/consumer"], "anonymous", r.Metadata)
	}
	err := new(filtertest.Host).Load(t, filtertest.Config{Name: "anonymous", JSON: `{consumer: ""}`})
	if err == nil || !strings.Contains(err.Error(), "consumer") {
		t.Errorf("new(filtertest.Host).Load(…): got error %v, want one with %q", err, "consumer")
	}
}
