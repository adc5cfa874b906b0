package filtertest_test

import (
	"errors"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// Streams find a host's secrets, each value as it is at that moment.
func TestSecrets(t *testing.T) {
	given := map[string]string{"a": "one", "empty": ""}
	h := &filtertest.Host{Secrets: given}
	var kept filter.Stream
	if err := h.Load(t, &plugin{f: func(s filter.Stream, hd filter.RequestHeaders) filter.Action {
		kept = s
		v, err := s.Secret(hd.Get("want"))
		if v.String() != "[secret]" {
			t.Error("a secret prints itself")
		}
		switch {
		case errors.Is(err, filter.ErrNotFound):
			return filter.Reply(404, "")
		case err != nil:
			return filter.Reply(500, err.Error())
		}
		return filter.Reply(200, v.Reveal())
	}}); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	get := func(name string, status int, value string) {
		t.Helper()
		if r := h.Get("/", "want", name); r.Status != status || r.Body != value {
			t.Errorf("%s: r.Status = %d, want %d; r.Body = %q, want %q", name, r.Status, status, r.Body, value)
		}
	}
	get("a", 200, "one")
	get("b", 404, "")
	get("empty", 404, "")
	h.SetSecret("a", "two")
	h.SetSecret("b", "three")
	get("a", 200, "two")
	get("b", 200, "three")
	h.SetSecret("b", "")
	get("b", 404, "")
	if given["a"] != "one" {
		t.Error("the test's own map is changed")
	}
	if _, err := kept.Secret("a"); !errors.Is(err, filter.ErrStreamDone) {
		t.Errorf(`kept.Secret("a"): got error %v, want %v`, err, filter.ErrStreamDone)
	}
	h.Lacks = filter.CanReadSecret
	get("a", 500, filter.ErrUnsupported.Error())
	if _, err := (filter.Stream{}).Secret("a"); !errors.Is(err, filter.ErrStreamDone) {
		t.Errorf(`(filter.Stream{}).Secret("a"): got error %v, want %v`, err, filter.ErrStreamDone)
	}
}
