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

func FuzzSamePath(f *testing.F) {
	f.Add("/cb", "/%63b")
	f.Add("/a%2fb", "/a/b")
	f.Add("/%zz%", "/%")
	f.Fuzz(func(t *testing.T, a, b string) {
		if SamePath(a, b) != SamePath(b, a) && a != "" && b != "" {
			t.Errorf("SamePath(%q, %q) depends on the order", a, b)
		}
		if once := normalize(a); strings.Count(once, "/") != strings.Count(a, "/") {
			t.Errorf("normalize(%q) = %q has more or fewer slashes", a, once)
		}
	})
}
