package oidc

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

func TestConfiguration(t *testing.T) {
	good := map[string]any{
		"issuer": "https://idp.example", "clientID": "me", "clientSecret": "geheim", "redirect": "https://app.example/cb",
		"cookieSecrets": []string{cookieSecret},
	}
	load := func(t *testing.T, changes map[string]any) error {
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
		return new(filtertest.Host).Load(t, filtertest.Config{Name: "oidc", JSON: string(text)})
	}
	if err := load(t, nil); err != nil {
		t.Errorf("load: %v", err)
	}
	in := func(name string, more map[string]any) map[string]any { return map[string]any{name: more} }
	for _, c := range []struct {
		want   string
		change map[string]any
	}{
		{"issuer", map[string]any{"issuer": nil}},
		{"issuer: must be https", map[string]any{"issuer": "http://idp.example"}},
		{"issuer", map[string]any{"issuer": "idp.example"}},
		{"clientID", map[string]any{"clientID": ""}},
		{"redirect", map[string]any{"redirect": nil}},
		{"redirect", map[string]any{"redirect": "http://app.example/cb"}},
		{"redirect", map[string]any{"redirect": "/cb"}},
		{"redirect", map[string]any{"redirect": "https://app.example/"}},
		{"redirect", map[string]any{"redirect": "https://app.example/cb?x=y"}},
		{"cookieSecrets", map[string]any{"cookieSecrets": nil}},
		{"cookieSecrets", map[string]any{"cookieSecrets": []string{}}},
		{"cookieSecrets[1]: must be at least 32 bytes", map[string]any{"cookieSecrets": []string{cookieSecret, "geheim"}}},
		{"lifetime", map[string]any{"lifetime": "1s"}},
		{"login", map[string]any{"login": "login"}},
		{"login", map[string]any{"login": "//evil"}},
		{"login", map[string]any{"login": "/cb"}},
		{"login", map[string]any{"login": "/x", "logout": map[string]any{"path": "/x"}}},
		{"logout.path", in("logout", map[string]any{"path": "/x?y"})},
		{"logout.redirect", in("logout", map[string]any{"path": "/x", "redirect": "https://evil.example"})},
		{"cookie.name", in("cookie", map[string]any{"name": "a b"})},
		{"cookie.insecure", in("cookie", map[string]any{"insecure": true})},
		{"cookie.domain", in("cookie", map[string]any{"domain": "example"})},
		{"cookie.domain", in("cookie", map[string]any{"name": "c", "domain": "a; path=/x"})},
		{"cookie.sameSite", in("cookie", map[string]any{"name": "c", "insecure": true, "sameSite": "none"})},
		{"sameSite", in("cookie", map[string]any{"sameSite": "Lax"})},
		{"connection.caFile", in("connection", map[string]any{"caFile": "/does/not/exist"})},
		{"claimsToHeaders", map[string]any{"claimsToHeaders": []any{map[string]any{"claim": "sub", "header": ":path"}}}},
		{"typo", map[string]any{"typo": 1}},
	} {
		t.Run(c.want, func(t *testing.T) {
			err := load(t, c.change)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "geheim") ||
				strings.Contains(err.Error(), cookieSecret) {
				t.Errorf("%v: %v, want %q", c.change, err, c.want)
			}
		})
	}
}

func FuzzOpen(f *testing.F) {
	k, err := newSealer(filter.NewSecret(cookieSecret), "scope")
	if err != nil {
		f.Fatalf("newSealer: %v", err)
	}
	now := time.Now()
	text, err := k.seal("session", session{Subject: "tom"}, now.Add(time.Hour))
	if err != nil {
		f.Fatalf("k.seal: %v", err)
	}
	f.Add(text, "session")
	f.Add(text, "state")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, given, purpose string) {
		var u session
		// Each process that fuzzes seals the seed anew, so that more than one text may be good.
		if open([]sealer{k}, purpose, given, &u, now) == nil && (purpose != "session" || u.Subject != "tom") {
			t.Errorf("%q opens for %q", given, purpose)
		}
	})
}

func FuzzSafePath(f *testing.F) {
	for _, s := range []string{"/a", "//a", `/\a`, "/\t/a", "https://a", "/%2f/a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got := safePath(path)
		if got != "/" && got != path || got[0] != '/' || len(got) > 1 && (got[1] == '/' || got[1] == '\\') ||
			strings.ContainsAny(got, "\\\r\n\t ") {
			t.Errorf("%q became %q", path, got)
		}
	})
}
