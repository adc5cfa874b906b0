package place

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/plugintest"
)

// FuzzTake: what Find finds, Take takes, in whatever spelling it comes; and it takes nothing else. Headers, queries and
// cookies are looked at at once, so that no place hides another.
func FuzzTake(f *testing.F) {
	f.Add("Bearer a", "key=b&k%65y=c&other=d", "key=e; other=f;key=\"g\"")
	f.Add("bearer\ta", "key", "key")
	f.Add("", "=&&key=", " key = x ;; other")
	f.Add("Basic a, Bearer b", "kEy=1&key;key=2", "Key=x; key")
	p := Places{
		Headers: []Header{{Name: "authorization", Scheme: "Bearer"}, {Name: "x-key"}}, Queries: []string{"key"},
		Cookies: []string{"key"},
	}
	plain := func(s string, refuse string) string {
		return strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' || strings.ContainsRune(refuse, r) {
				return 'x'
			}
			return r
		}, s)
	}
	var before, after int
	h := filtertest.New(plugintest.Shared(f), &plugintest.Probe{Request: func(_ filter.Stream, h filter.RequestHeaders) {
		_, before = p.Find(h)
		p.Take(h)
		_, after = p.Find(h)
	}})
	f.Fuzz(func(t *testing.T, authorization, query, cookie string) {
		r := filtertest.NewRequest("GET", "/", "")
		r.URL.RawQuery = plain(query, " #")
		r.Header = http.Header{"Authorization": {plain(authorization, "")}, "Cookie": {plain(cookie, "")}}
		w := h.Do(r)
		if after != 0 {
			t.Errorf("%d of %d credentials are left in %q, %q, %q: %q %v",
				after, before, authorization, query, cookie, w.Upstream.RequestURI, w.Upstream.Header)
		}
		_, left, _ := strings.Cut(w.Upstream.RequestURI, "?")
		kept := slices.DeleteFunc(strings.Split(r.URL.RawQuery, "&"), func(raw string) bool {
			name, _, _ := strings.Cut(raw, "=")
			return unescape(name) == "key"
		})
		if want := strings.Join(kept, "&"); left != want {
			t.Errorf("the query %q becomes %q, want %q", r.URL.RawQuery, left, want)
		}
		if before == 0 && (w.Upstream.RequestURI != r.URL.RequestURI() || w.Upstream.Header.Get("cookie") != r.Header.Get("cookie")) {
			t.Errorf("without a credential, %q and %q become %q and %q", r.URL.RequestURI(), r.Header.Get("cookie"),
				w.Upstream.RequestURI, w.Upstream.Header.Get("cookie"))
		}
	})
}
