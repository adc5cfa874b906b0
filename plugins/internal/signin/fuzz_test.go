package signin

import (
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/filter"
)

type content struct{ Subject string }

func FuzzOpen(f *testing.F) {
	k, err := NewKeys([]filter.Secret{filter.NewSecret(strings.Repeat("s", leastSecret))}, "label", "scope")
	if err != nil {
		f.Fatalf("NewKeys: %v", err)
	}
	now := time.Now()
	text, err := k.Seal("session", content{Subject: "tom"}, now.Add(time.Hour))
	if err != nil {
		f.Fatalf("k.Seal: %v", err)
	}
	f.Add(text, "session")
	f.Add(text, "state")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, given, purpose string) {
		var u content
		// Each process that fuzzes seals the seed anew, so that more than one text may be good.
		if k.Open(purpose, given, &u, now) == nil && (purpose != "session" || u.Subject != "tom") {
			t.Errorf("%q opens for %q", given, purpose)
		}
	})
}

func FuzzSafePath(f *testing.F) {
	for _, s := range []string{"/a", "//a", `/\a`, "/\t/a", "https://a", "/%2f/a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got := SafePath(path)
		if got != "/" && got != path || got[0] != '/' || len(got) > 1 && (got[1] == '/' || got[1] == '\\') ||
			strings.ContainsAny(got, "\\\r\n\t ") {
			t.Errorf("%q became %q", path, got)
		}
	})
}
