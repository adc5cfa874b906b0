package keyauth

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/plugintest"
)

func consumer(name string, cred map[string]any) *filter.Consumer {
	return &filter.Consumer{Name: name, Credentials: map[string]map[string]any{"keyauth": cred}}
}

var both = []*filter.Consumer{
	consumer("tom", map[string]any{"key": "k1"}),
	consumer("ann", map[string]any{"keys": []any{"k2", "k 3+&="}}),
}

func load(t testing.TB, conf string, consumers []*filter.Consumer) (*filtertest.Host, error) {
	h := &filtertest.Host{Consumers: consumers, ConsumerHeader: "x-who"}
	return h, h.Load(t, filtertest.Config{Name: "keyauth", JSON: conf})
}

func must(t testing.TB, conf string, consumers []*filter.Consumer) *filtertest.Host {
	t.Helper()
	h, err := load(t, conf, consumers)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return h
}

func TestKeys(t *testing.T) {
	h := must(t, `{query: key, cookie: k}`, both)
	mib := strings.Repeat("k", 1<<20)
	for _, c := range []struct {
		name, path string
		header     []string
		want       string // the consumer, or the end of the details
		sent       string // the path that goes on
	}{
		{name: "header", path: "/a?b=c", header: []string{"X-API-Key", "k1"}, want: "tom", sent: "/a?b=c"},
		{name: "another's", path: "/", header: []string{"x-api-key", "k2"}, want: "ann", sent: "/"},
		{name: "query", path: "/a?key=k1", want: "tom", sent: "/a"},
		{name: "query among others", path: "/a?b=%20&key=k1&c", want: "tom", sent: "/a?b=%20&c"},
		{name: "query, encoded", path: "/a?%6bey=k%31", want: "tom", sent: "/a"},
		{name: "query, with symbols", path: "/a?key=k+3%2b%26%3D", want: "ann", sent: "/a"},
		{name: "cookie", path: "/", header: []string{"cookie", "a=b; k=k1; c=d"}, want: "tom", sent: "/"},

		{name: "none", path: "/a?kez=k1", header: []string{"cookie", "kk=k1"}, want: ".missing"},
		{name: "of another scheme", path: "/", header: []string{"authorization", "Bearer k1"}, want: ".missing"},
		{name: "wrong", path: "/", header: []string{"x-api-key", "k"}, want: ".unknown"},
		{name: "longer", path: "/", header: []string{"x-api-key", "k11"}, want: ".unknown"},
		{name: "another case", path: "/", header: []string{"x-api-key", "K1"}, want: ".unknown"},
		{name: "a name is not a key", path: "/", header: []string{"x-api-key", "tom"}, want: ".unknown"},
		{name: "empty", path: "/", header: []string{"x-api-key", ""}, want: ".empty"},
		{name: "empty in the query", path: "/?key", want: ".empty"},
		{name: "doubled", path: "/", header: []string{"x-api-key", "k1", "x-api-key", "k1"}, want: ".ambiguous"},
		{name: "two of them", path: "/", header: []string{"x-api-key", "k1", "x-api-key", "k2"}, want: ".ambiguous"},
		{name: "in two places", path: "/?key=k1", header: []string{"x-api-key", "k1"}, want: ".ambiguous"},
		{name: "twice in the query", path: "/?key=k1&%6Bey=k2", want: ".ambiguous"},
		{name: "long", path: "/", header: []string{"x-api-key", mib}, want: ".unknown"},
		{name: "no UTF-8", path: "/", header: []string{"x-api-key", "k1\xff\xfe"}, want: ".unknown"},
		{name: "no UTF-8 in the query", path: "/?key=%ff%fe", want: ".unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := h.Get(c.path, append(c.header, "x-who", "root")...)
			if strings.HasPrefix(c.want, ".") {
				if r.Status != 401 || r.Details != "moe.keyauth"+c.want || r.Upstream != nil ||
					r.Header.Get("www-authenticate") != `ApiKey realm="moe"` {
					t.Errorf("got %d %s %v, want 401 moe.keyauth%s with a challenge", r.Status, r.Details, r.Header, c.want)
				}
				return
			}
			if r.Status != 200 || r.Upstream.Header.Get("x-who") != c.want || r.Upstream.URL.String() != c.sent {
				t.Fatalf("got %d %s %v, want 200 for %s and the path %s", r.Status, r.Details, r.Upstream, c.want, c.sent)
			}
			if r.Upstream.Header.Get("x-api-key") != "" || strings.Contains(r.Upstream.Header.Get("cookie"), "k1") {
				t.Error("the upstream sees the key")
			}
			if r.Metadata["moe/consumer"] != c.want {
				t.Errorf(`r.Metadata["moe/consumer"] = %v, want %v: %v`, r.Metadata["moe/consumer"], c.want, r.Metadata)
			}
		})
	}
	if log := h.Log(); strings.Contains(log, "k1") || strings.Contains(log, mib[:100]) || !strings.Contains(log, "unknown key") {
		t.Error("the log:", log)
	}
	if h.Metric("missing") != 2 || h.Metric("invalid", "unknown") == 0 || h.Metric("invalid", "ambiguous") != 4 {
		t.Error("counters")
	}
}

func TestScheme(t *testing.T) {
	h := must(t, `{header: Authorization, scheme: Bearer, forward: true, realm: orders}`, both)
	for value, want := range map[string]int{
		"Bearer k1": 200, "bearer k1": 200, "Basic k1": 401, "k1": 401, "Bearer": 401, "Bearer  k1 ": 200, "BearerX k1": 401,
	} {
		t.Run(value, func(t *testing.T) {
			r := h.Get("/", "authorization", value)
			if r.Status != want {
				t.Errorf("%s: r.Status = %d, want %d", value, r.Status, want)
			}
			if want == 200 && r.Upstream.Header.Get("authorization") == "" {
				t.Error("the key is not forwarded")
			}
			if want == 401 && r.Header.Get("www-authenticate") != `Bearer realm="orders"` {
				t.Errorf("got %v, want a challenge for Bearer", r.Header)
			}
		})
	}
}

// What changes holds for the next request; what is wrong changes nothing.
func TestLive(t *testing.T) {
	h := must(t, `{}`, both)
	status := func(key string) int { return h.Get("/", "x-api-key", key).Status }
	if err := h.SetConsumers([]*filter.Consumer{consumer("ann", map[string]any{"key": "new"})}); err != nil {
		t.Fatalf("h.SetConsumers: %v", err)
	}
	if status("k1") != 401 || status("k2") != 401 || status("new") != 200 {
		t.Error("the change does not hold")
	}
	err := h.SetConsumers([]*filter.Consumer{
		consumer("x", map[string]any{"key": "geheim"}), consumer("y", map[string]any{"keys": []any{"other", "geheim"}}),
	})
	if err == nil || !strings.Contains(err.Error(), "x and y") || strings.Contains(err.Error(), "geheim") {
		t.Errorf("got %v, want an error that names x and y, and no key", err)
	}
	if status("new") != 200 || status("geheim") != 401 {
		t.Error("a refused change holds")
	}
	if err := h.SetConsumers(nil); err != nil || status("new") != 401 {
		t.Error("nobody is somebody", err)
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name, conf string
		creds      []map[string]any
		want       string
	}{
		{name: "empty header", conf: `{header: ""}`, want: "header"},
		{name: "space in a header", conf: `{header: "a b"}`, want: "not the name of a header"},
		{name: "semicolon in a cookie", conf: `{cookie: "a;b"}`, want: "cookies[0]"},
		{name: "scheme without a header", conf: `{header: "", query: q, scheme: Bearer}`, want: "scheme"},
		{name: "space in a scheme", conf: `{scheme: "a b"}`, want: "scheme"},
		{name: "quote in the realm", conf: `{realm: 'a"b'}`, want: "realm"},
		{name: "misspelt field", conf: `{heder: x}`, want: "heder"},
		{name: "no key", conf: `{}`, creds: []map[string]any{{}}, want: "empty credential"},
		{name: "empty key", conf: `{}`, creds: []map[string]any{{"key": ""}}, want: "empty"},
		{
			name: "empty key among others", conf: `{}`, creds: []map[string]any{{"keys": []any{"geheim", ""}}},
			want: "empty",
		},
		{name: "misspelt credential", conf: `{}`, creds: []map[string]any{{"kee": "geheim"}}, want: "kee"},
		{
			name: "duplicate key", conf: `{}`, creds: []map[string]any{{"key": "geheim"}, {"key": "geheim"}},
			want: "consumers c0 and c1 have the same credential",
		},
		{
			name: "long key", conf: `{}`, creds: []map[string]any{{"key": strings.Repeat("geheim", 1000)}},
			want: "more than 4096 bytes",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var list []*filter.Consumer
			for i, cred := range c.creds {
				list = append(list, consumer(fmt.Sprintf("c%d", i), cred))
			}
			_, err := load(t, c.conf, list)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "geheim") {
				t.Errorf("%s %v: got %v, want an error with %q and no key", c.conf, c.creds, err, c.want)
			}
		})
	}
}

// FuzzPlaces: whatever the request is, a key that passes is removed from it.
func FuzzPlaces(f *testing.F) {
	f.Add("/?key=k1", "a=b; k=k2", "k1")
	f.Add("/a?%6bey=%6b1&key&&=", "k=\"k1\"; k", "")
	f.Fuzz(func(t *testing.T, path, cookie, header string) {
		h := must(t, `{query: key, cookie: k}`, both)
		req := filtertest.NewRequest("GET", "/", "")
		if u, err := req.URL.Parse(path); err == nil && strings.HasPrefix(path, "/") && u.Host == "" {
			req.URL = u
		}
		if cookie != "" {
			req.Header["Cookie"] = []string{cookie}
		}
		if header != "" {
			req.Header["X-Api-Key"] = []string{header}
		}
		r := h.Do(req)
		switch {
		case r.Status == 401 && r.Upstream == nil:
		case r.Status != 200:
			t.Errorf("got %d %s, want 200 or 401", r.Status, r.Details)
		case r.Upstream.Header.Get("x-api-key") != "" || r.Upstream.URL.Query().Has("key"):
			t.Errorf("the upstream sees the key: %v", r.Upstream)
		}
	})
}

func BenchmarkKeyAuth(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			list := make([]*filter.Consumer, n)
			for i := range list {
				list[i] = consumer(fmt.Sprint("c", i), map[string]any{"key": fmt.Sprintf("6f1ed002ab5595859014ebf0951522d9-%d", i)})
			}
			k := &KeyAuth{Header: "x-api-key", Realm: "moe", Forward: true}
			h := &filtertest.Host{Consumers: list}
			probe := &plugintest.Probe{Request: func(s filter.Stream, h filter.RequestHeaders) {
				b.ReportAllocs()
				for b.Loop() {
					if k.OnRequestHeaders(s, h, true) != filter.Continue {
						b.Fatal("denied")
					}
				}
			}}
			if err := h.Load(b, k, probe); err != nil {
				b.Fatalf("h.Load: %v", err)
			}
			h.Get("/a/path", append(plugintest.Browser, "x-api-key", "6f1ed002ab5595859014ebf0951522d9-7")...)
		})
	}
}

// TestHashes: keys may be known by their sums, which cannot be used as keys, and end at a time.
func TestHashes(t *testing.T) {
	sum := sha256.Sum256([]byte("k1"))
	text := hex.EncodeToString(sum[:])
	later, before := time.Now().Add(time.Hour).Format(time.RFC3339), time.Now().Add(-time.Hour).Format(time.RFC3339)
	h := must(t, `{}`, []*filter.Consumer{
		consumer("tom", map[string]any{"hashes": []any{strings.ToUpper(text)}, "expires": later}),
		consumer("ann", map[string]any{"key": "k2", "expires": before}),
		consumer("eve", map[string]any{"key": text}),
	})
	for _, c := range []struct{ name, key, want string }{
		{"the key", "k1", "tom"},
		{"the sum is another's key", text, "eve"},
		{"the sum in capitals", strings.ToUpper(text), ".unknown"},
		{"the sum as bytes", string(sum[:]), ".unknown"},
		{"expired", "k2", ".expired"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := h.Get("/", "x-api-key", c.key)
			got := strings.TrimPrefix(r.Details, "moe.keyauth")
			if r.Upstream != nil {
				got = r.Upstream.Header.Get("x-who")
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	for _, c := range []struct {
		name, want string
		list       []*filter.Consumer
	}{
		{"the same key twice", "", []*filter.Consumer{consumer("a", map[string]any{"key": "k1"}), consumer("b", map[string]any{"hashes": []any{text}})}},
		{"not a sum", "hashes[0]", []*filter.Consumer{consumer("a", map[string]any{"hashes": []any{"k1"}})}},
		{"a short one", "hashes[0]", []*filter.Consumer{consumer("a", map[string]any{"hashes": []any{"abcd"}})}},
		{"not a time", "expires", []*filter.Consumer{consumer("a", map[string]any{"key": "k", "expires": "tomorrow"})}},
		{"nothing", "", []*filter.Consumer{consumer("a", map[string]any{"expires": later})}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := load(t, `{}`, c.list); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), text) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
