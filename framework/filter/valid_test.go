package filter_test

import (
	"fmt"
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// stream is a stream whose plugin 0 owns all blocks.
func stream() (*core.Stream, filter.Stream, *[]string) {
	c, bugs := &core.Stream{}, &[]string{}
	c.Misuse = func(_ int, what, _ string) { *bugs = append(*bugs, what) }
	for i := range c.H {
		c.H[i].Present = true
		c.H[i].Owner.Store(1)
	}
	return c, filter.Internals(core.Internal{}).Stream(c, 0), bugs
}

func TestSetRefuses(t *testing.T) {
	for _, c := range []struct {
		key, value string
		request    bool // may be set on a request
		response   bool
	}{
		{"x-a", "1", true, true},
		{"X-A", " spaced\t", true, true},
		{"x-a", "tab\tinside \xe4\xf6", true, true},
		{"x a", "1", false, false},
		{"x:a", "1", false, false},
		{"", "1", false, false},
		{"ä", "1", false, false},
		{"x-a", "1\r\nx-b: 2", false, false},
		{"x-a", "1\n", false, false},
		{"x-a", "\x00", false, false},
		{"x-a", "\x7f", false, false},
		{"x-a", "\x1b[31m", false, false},
		{":status", "200", false, true},
		{":status", "599", false, true},
		{":status", "101", false, false},
		{":status", "600", false, false},
		{":status", "2000", false, false},
		{":status", "2x0", false, false},
		{":path", "/a?b", true, false},
		{":path", "*", true, false},
		{":path", "a", false, false},
		{":path", "/a b", false, false},
		{":path", "/a HTTP/1.1\r\nx: y", false, false},
		{":method", "PATCH", true, false},
		{":method", "PA TCH", false, false},
		{":authority", "a:80", true, false},
		{":authority", "a b", false, false},
		{":scheme", "https", true, false},
		{":other", "1", false, false},
		{":", "1", false, false},
		{"host", "b", true, true},
		{"content-length", "12", true, true},
		{"content-length", "-1", false, false},
		{"content-length", "1,1", false, false},
		{"transfer-encoding", "chunked", false, true},
	} {
		t.Run(fmt.Sprintf("%q: %q", c.key, c.value), func(t *testing.T) {
			for block, ok := range map[string]bool{"request": c.request, "response": c.response} {
				t.Run(block, func(t *testing.T) {
					_, s, bugs := stream()
					h := s.RequestHeaders().Headers
					if block == "response" {
						h = s.ResponseHeaders().Headers
					}
					h.Set(c.key, c.value)
					if got := h.Len() == 1 && len(*bugs) == 0; got != ok {
						t.Errorf("%q: %q: set %v, want %v; misuse %q", c.key, c.value, got, ok, *bugs)
					}
					if ok && h.Get(c.key) != strings.Trim(c.value, " \t") {
						t.Errorf("%q: %q reads %q", c.key, c.value, h.Get(c.key))
					}
					if len(*bugs) > 0 && len(c.value) > 3 && strings.Contains((*bugs)[0], c.value) {
						t.Errorf("%q tells the value", *bugs)
					}
					s.RequestTrailers().Set(c.key, c.value)
					if n := s.RequestTrailers().Len(); strings.HasPrefix(c.key, ":") && n > 0 {
						t.Errorf("%q in trailers", c.key)
					}
				})
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	c, s, bugs := stream()
	h := s.RequestHeaders()
	h.SetHost("a")
	h.Add("X-Multi", "1")
	h.Add("x-multi", "2")
	h.Set("x-one", "1")
	if h.Get("host") != "a" || h.Get("Host") != "a" || h.Host() != "a" || !h.Has("HOST") {
		t.Error("host")
	}
	if got := strings.Join(h.Values("X-MULTI"), ","); got != "1,2" {
		t.Errorf(`strings.Join(h.Values("X-MULTI"), ",") = %q, want %q`, got, "1,2")
	}
	h.Set("x-multi", "3")
	if got := strings.Join(h.Values("x-multi"), ","); got != "3" {
		t.Errorf(`strings.Join(h.Values("x-multi"), ",") = %q, want %q`, got, "3")
	}
	h.Set("x-one", "")
	h.Add("x-one", "")
	if h.Has("x-one") {
		t.Error("an empty value does not remove")
	}
	for k := range h.All() {
		if k[0] != ':' {
			h.Del(k)
		}
	}
	if h.Len() != 1 || len(h.HTTP()) != 0 {
		t.Errorf("h.Len() = %d, want 1; got %d of h.HTTP(), want 0: %v: %v",
			h.Len(), len(h.HTTP()), h.HTTP(), c.H[0].Fields)
	}
	if got := strings.Join(c.H[0].Changed, " "); got != ":authority x-multi x-one" {
		t.Errorf(`strings.Join(c.H[0].Changed, " ") = %q, want %q`, got, ":authority x-multi x-one")
	}
	if len(*bugs) > 0 {
		t.Errorf("len(*bugs) = %d, want at most 0: %q", len(*bugs), *bugs)
	}
	h.Del(":authority")
	h.Add(":authority", "b")
	h.SetPath("")
	if len(*bugs) != 3 || h.Host() != "a" {
		t.Errorf("got %d of *bugs, want 3: %q; h.Host() = %q, want %q", len(*bugs), *bugs, h.Host(), "a")
	}
	var zero filter.Headers
	zero.Set("a", "b")
	if zero.Get("a") != "" || zero.Len() != 0 {
		t.Error("the zero Headers")
	}
}

func FuzzSet(f *testing.F) {
	f.Add("x-a", "1")
	f.Add(":path", "/ x")
	f.Add("Host", "\n")
	f.Fuzz(func(t *testing.T, key, value string) {
		_, s, _ := stream()
		h := s.RequestHeaders()
		h.Set(key, value)
		h.Add(key, value)
		for k, v := range h.All() {
			if k == "" || v == "" || strings.ContainsAny(k, "\r\n\x00 ") || strings.ContainsAny(v, "\r\n\x00") ||
				k != strings.ToLower(k) {
				t.Errorf("%q: %q was set, which cannot be sent", k, v)
			}
		}
	})
}

// TestSetLooksAtEveryByte has each byte at each place of names and values; of values, eight are looked at at a time.
func TestSetLooksAtEveryByte(t *testing.T) {
	const token = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" // RFC 9110, section 5.6.2
	set := func(key, value string) (stored string, ok bool) {
		_, s, bugs := stream()
		h := s.RequestHeaders().Headers
		h.Set(key, value)
		for stored = range h.All() {
		}
		return stored, h.Len() == 1 && len(*bugs) == 0
	}
	for _, n := range []int{1, 7, 8, 9, 15, 16, 18, 24} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			whole := strings.Repeat("k", n)
			for at := range n {
				for b := range 256 {
					text := whole[:at] + string([]byte{byte(b)}) + whole[at+1:]
					want := strings.IndexByte(token, byte(b)) >= 0
					if stored, ok := set(text, "v"); ok != want || ok && stored != strings.ToLower(text) {
						t.Errorf("name %q: set %v as %q, want %v", text, ok, stored, want)
					}
					if space := b == ' ' || b == '\t'; space && (at == 0 || at == n-1) {
						continue // it is cut off
					}
					want = b == '\t' || b >= ' ' && b != 0x7f
					if _, ok := set("name", text); ok != want {
						t.Errorf("value %q: set %v, want %v", text, ok, want)
					}
				}
			}
		})
	}
}
