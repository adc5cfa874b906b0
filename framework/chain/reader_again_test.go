package chain_test

import (
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// A ReplyReader that is kept and returned to a second stream is misuse: its reader is the first stream's.
func TestReplyReaderTwice(t *testing.T) {
	for name, kept := range map[string]func(reply filter.Action) filter.Action{
		"as it is":        func(reply filter.Action) filter.Action { return reply },
		"unauthenticated": func(reply filter.Action) filter.Action { return filter.Unauthenticated(reply) },
	} {
		t.Run(name, func(t *testing.T) {
			reply := kept(filter.ReplyReader(503, strings.NewReader("once")))
			h := &filtertest.Host{AllowsBugs: true}
			if err := h.Load(t, &probe{reqH: func(filter.Stream, filter.Headers, bool) filter.Action { return reply }}); err != nil {
				t.Fatalf("h.Load: %v", err)
			}
			if r := h.Get("/"); r.Status != 503 || r.Body != "once" {
				t.Errorf("the first stream: got %d %q, want 503 and the reader's text", r.Status, r.Body)
			}
			if bugs := h.Bugs(); len(bugs) > 0 {
				t.Errorf("the first stream: got misuse %q, want none", bugs)
			}
			for range 2 {
				if r := h.Get("/"); r.Status != 500 || r.Body != "" {
					t.Errorf("another stream: got %d %q, want 500 without a body", r.Status, r.Body)
				}
			}
			if bugs := strings.Join(h.Bugs(), "\n"); !strings.Contains(bugs, "returns a ReplyReader again") {
				t.Errorf("another stream: got misuse %q, want it reported", bugs)
			}
			if n := h.Metric("moe.misuses", "probe"); n != 2 {
				t.Errorf("moe.misuses: got %d, want 2", n)
			}
		})
	}
}
