package cache

import (
	"fmt"
	"strings"
	"testing"

	"mosn.io/moe/framework/filtertest"
)

// What was purged while its request was under way is not stored.
func TestPurgedUnderWay(t *testing.T) {
	for _, c := range []struct {
		name, method, path string
		header             []string
		asks               bool // the next request does
	}{
		{name: "by its key", method: "PURGE", path: "/x", header: []string{"surrogate-key", "k"}, asks: true},
		{name: "by its URI", method: "PURGE", path: "/", asks: true},
		{name: "by a change", method: "POST", path: "/", asks: true},
		{name: "by another key", method: "PURGE", path: "/x", header: []string{"surrogate-key", "j"}},
	} {
		for _, when := range []string{"new", "validated"} {
			t.Run(c.name+", when it is "+when, func(t *testing.T) {
				age := "60"
				if when == "validated" {
					age = "0"
				}
				b := newBed(t, `{purge: {networks: [10.0.0.0/8]}}`, "cache-control", "max-age="+age, "surrogate-key", "k")
				if when == "validated" {
					b.current = `"v"`
					b.Get("/")
					b.header[1] = "max-age=60"
				}
				b.meanwhile.Store(func() { b.Do(filtertest.NewRequest(c.method, c.path, "", c.header...)) })
				if r := b.Get("/"); r.Status != 200 || r.Body != b.body {
					t.Errorf("the request gets %d %q, want its response", r.Status, r.Body)
				}
				before := b.asked.Load()
				if b.Get("/"); (b.asked.Load() > before) != c.asks {
					t.Errorf("the next request asks: %t, want %t", !c.asks, c.asks)
				}
			})
		}
	}
}

// A purge of more keys than are carried out is refused, rather than done in part, and a response with more of them than are
// remembered is not stored.
func TestManyKeys(t *testing.T) {
	var keys []string
	for i := range maxTags {
		keys = append(keys, fmt.Sprint("k", i))
	}
	for _, c := range []struct {
		name, keys string
		fits       bool
	}{
		{name: "as many as fit", keys: strings.Join(keys, " "), fits: true},
		{name: "one more", keys: strings.Join(append(keys, "more"), " ")},
		{name: "a long one", keys: strings.Repeat("k", maxTagLen+1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t, `{purge: {networks: [10.0.0.0/8]}}`, "cache-control", "max-age=60", "surrogate-key", c.keys)
			b.Get("/")
			if b.Get("/"); (b.asked.Load() == 1) != c.fits {
				t.Errorf("the origin was asked %d times, want that the response is stored: %t", b.asked.Load(), c.fits)
			}
			r := b.Do(filtertest.NewRequest("PURGE", "/", "", "surrogate-key", c.keys))
			if (r.Status == 200) != c.fits || !c.fits && r.Details != "moe.cache.purge_keys" {
				t.Errorf("a purge gets %d %s, want that it is carried out: %t", r.Status, r.Details, c.fits)
			}
		})
	}
}

// However many tags are purged, what is remembered of them is bounded, and nothing that was under way is stored for that.
func TestPurgesForget(t *testing.T) {
	var p purges
	p.note("first")
	mark := p.mark
	for i := range 3 * maxPurges {
		p.note(fmt.Sprint(i))
		if len(p.last) > maxPurges {
			t.Fatalf("%d tags are remembered, want %d at most", len(p.last), maxPurges)
		}
	}
	if !p.since(mark, []string{"other"}) {
		t.Error("after more purges than are remembered, nothing was purged, want that anything may have been")
	}
	if p.since(p.mark, []string{"first", "other"}) {
		t.Error("something was purged since the last purge, want nothing")
	}
	if last := fmt.Sprint(3*maxPurges - 1); !p.since(p.mark-1, []string{"other", last}) {
		t.Error("what was purged last is not found")
	}
}
