package cache

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/authztest"
	"mosn.io/moe/plugins/internal/claims"
	"mosn.io/moe/plugins/internal/plugintest"
)

// clock is the cache's, which a test moves on.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// origin is an upstream whose answers the test chooses.
type origin struct {
	header  []string // name, value, …; those of the response
	status  int
	body    string
	asked   atomic.Int64
	current string // the entity tag for which it answers 304
	last    atomic.Pointer[http.Request]

	meanwhile atomic.Value // a func() that one request has run before it is answered
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := o.asked.Add(1)
	o.last.Store(r)
	if f, ok := o.meanwhile.Swap(func() {}).(func()); ok {
		f()
	}
	for i := 0; i+1 < len(o.header); i += 2 {
		w.Header().Add(o.header[i], o.header[i+1])
	}
	w.Header().Set("x-count", strconv.FormatInt(n, 10))
	if o.current != "" {
		w.Header().Set("etag", o.current)
		if r.Header.Get("if-none-match") == o.current {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if o.status != 0 {
		w.WriteHeader(o.status)
	}
	if o.body != "" && r.Method != http.MethodHead {
		fmt.Fprint(w, o.body)
	}
}

// bed is a cache between a client and an origin.
type bed struct {
	*filtertest.Host
	*origin
	*clock
}

func newBed(t testing.TB, config string, header ...string) *bed {
	t.Helper()
	b := &bed{Host: &filtertest.Host{Timeout: 30 * time.Second}, origin: &origin{header: header, body: "a body"}, clock: &clock{}}
	b.Attrs = map[filter.Attr]string{filter.AttrSourceAddress: "10.1.2.3:4567"}
	b.Upstream = b.origin
	b.load(t, config)
	return b
}

// load loads a cache with the bed's clock.
func (b *bed) load(t testing.TB, config string) {
	t.Helper()
	now = b.clock.now
	defer func() { now = time.Now }()
	if err := b.Load(t, &setter{}, filtertest.Config{Name: "cache", JSON: config}); err != nil {
		t.Fatalf("b.Load: %v", err)
	}
}

// setter has requests come from the consumer that x-consumer names.
type setter struct{}

func init() { filter.Register[setter]("cache-setter", filter.Authn) }

func (*setter) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	if name := h.Get("x-consumer"); name != "" {
		s.SetConsumer(&filter.Consumer{Name: name})
		h.Del("x-consumer")
	}
	if name := h.Get("x-caller"); name != "" {
		claims.Caller.Set(s, name)
		h.Del("x-caller")
	}
	return filter.Continue
}

// from says which answer of the origin a response is.
func from(r *filtertest.Response) string { return r.Header.Get("x-count") }

// wants sends a request and checks which answer of the origin it gets.
func (b *bed) wants(t *testing.T, count string, path string, header ...string) *filtertest.Response {
	t.Helper()
	r := b.Get(path, header...)
	if from(r) != count {
		t.Errorf("GET %s %v: got answer %q of the origin (%d, %v), want %s", path, header, from(r), r.Status, r.Header, count)
	}
	return r
}

// What responses may be stored (RFC 9111, section 3), and for which requests they are used.
func TestStored(t *testing.T) {
	later := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for _, c := range []struct {
		name     string
		config   string
		status   int
		response []string
		request  []string
		stored   bool
	}{
		{name: "max-age", response: []string{"cache-control", "max-age=60"}, stored: true},
		{name: "s-maxage", response: []string{"cache-control", "max-age=0, s-maxage=60"}, stored: true},
		{name: "expires", response: []string{"expires", later}, stored: true},
		{name: "malformed expires", response: []string{"expires", "0"}},
		{name: "expires in the past", response: []string{"expires", "Thu, 01 Dec 1994 16:00:00 GMT"}},
		{name: "two that differ", response: []string{"expires", later, "expires", "0"}},
		{name: "max-age before expires", response: []string{"cache-control", "max-age=0", "expires", later}},
		{name: "nothing said"},
		{name: "no-store", response: []string{"cache-control", "no-store, max-age=60"}},
		{name: "private", response: []string{"cache-control", "private, max-age=60"}},
		{name: "no-cache", response: []string{"cache-control", "no-cache, max-age=60", "etag", `"a"`}},
		{name: "upper case", response: []string{"cache-control", "MAX-AGE=60"}, stored: true},
		{name: "quoted", response: []string{"cache-control", `max-age="60"`}, stored: true},
		{name: "a directive in quotes", response: []string{"cache-control", `x="max-age=60, y", public`}},
		{name: "a negative age", response: []string{"cache-control", "max-age=-60"}},
		{name: "a malformed age", response: []string{"cache-control", "max-age=6x"}},
		{name: "the least of several ages", response: []string{"cache-control", "max-age=60, max-age=0"}},
		{name: "an overflow", response: []string{"cache-control", "max-age=99999999999999999999"}, stored: true},
		{name: "too old", response: []string{"cache-control", "max-age=60", "age", "61"}},
		{name: "old", response: []string{"cache-control", "max-age=60", "age", "30"}, stored: true},
		{name: "an old date", response: []string{"cache-control", "max-age=60", "date", "Thu, 01 Dec 1994 16:00:00 GMT"}},
		{name: "expires in the form of asctime", response: []string{"expires", time.Now().Add(time.Hour).UTC().Format(time.ANSIC)}, stored: true},
		{name: "an expires with two spaces", response: []string{"expires", strings.Replace(later, " ", "  ", 1)}},
		{name: "targeted", response: []string{"cache-control", "no-store", "cdn-cache-control", "max-age=60"}, stored: true},
		{name: "targeted against it", response: []string{"cache-control", "max-age=60", "expires", later, "cdn-cache-control", "no-store"}},
		{name: "targeted, nothing said", response: []string{"expires", later, "cdn-cache-control", "foo=\"x\""}},
		{name: "targeted, malformed", response: []string{"cache-control", "no-store", "cdn-cache-control", "max-age=60, &&"}},
		{name: "targeted, a string for a time", response: []string{"cache-control", "no-store", "cdn-cache-control", `max-age="60"`}},
		{name: "targeted, malformed, for it", response: []string{"cache-control", "max-age=60", "cdn-cache-control", "No-Store"}, stored: true},
		{name: "a cookie", response: []string{"cache-control", "max-age=60", "set-cookie", "a=b"}},
		{name: "a cookie that may be", config: `storeCookies: true`, response: []string{"cache-control", "max-age=60", "set-cookie", "a=b"}, stored: true},
		{name: "vary by everything", response: []string{"cache-control", "max-age=60", "vary", "*"}},
		{name: "vary by too much", config: `maxVary: 1`, response: []string{"cache-control", "max-age=60", "vary", "a, b"}},
		{name: "404", status: 404, response: []string{"cache-control", "max-age=60"}, stored: true},
		{name: "500", status: 500, response: []string{"cache-control", "max-age=60"}, stored: true},
		{name: "206", status: 206, response: []string{"cache-control", "max-age=60", "content-range", "bytes 0-5/6"}},
		{name: "an unknown status to be understood", status: 299, response: []string{"cache-control", "max-age=60, must-understand"}},
		{name: "a known status to be understood", response: []string{"cache-control", "max-age=60, must-understand, no-store"}, stored: true},
		{name: "authorization", request: []string{"authorization", "x"}, response: []string{"cache-control", "max-age=60"}},
		{name: "authorization, public", request: []string{"authorization", "x"}, response: []string{"cache-control", "max-age=60, public"}, stored: true},
		{name: "authorization, must-revalidate", request: []string{"authorization", "x"}, response: []string{"cache-control", "max-age=60, must-revalidate"}, stored: true},
		{name: "a caller", request: []string{"x-caller", "a"}, response: []string{"cache-control", "max-age=60"}, stored: true},
		{name: "a caller, shared", config: `isolate: none`, request: []string{"x-caller", "a"}, response: []string{"cache-control", "max-age=60"}},
		{
			name: "a caller, shared, public", config: `isolate: none`, request: []string{"x-caller", "a"},
			response: []string{"cache-control", "max-age=60, public"}, stored: true,
		},
		{name: "request with no-store", request: []string{"cache-control", "no-store"}, response: []string{"cache-control", "max-age=60"}},
		{name: "too large", config: `maxObject: 3`, response: []string{"cache-control", "max-age=60"}},
		{name: "heuristic", config: `heuristic: 0.1`, response: []string{"last-modified", "Thu, 01 Dec 1994 16:00:00 GMT"}, stored: true},
		{name: "no heuristic", response: []string{"last-modified", "Thu, 01 Dec 1994 16:00:00 GMT"}},
		{name: "an unkeyed header", request: []string{"x-forwarded-host", "evil.example"}, response: []string{"cache-control", "max-age=60"}},
		{name: "an unkeyed header by configuration", config: `unkeyed: [X-Evil]`, request: []string{"x-evil", "1"}, response: []string{"cache-control", "max-age=60"}},
		{name: "no longer unkeyed", config: `unkeyed: []`, request: []string{"x-forwarded-host", "a"}, response: []string{"cache-control", "max-age=60"}, stored: true},
		{name: "bounded", config: `maxAge: 0s`, response: []string{"cache-control", "max-age=60"}},
		{name: "a condition", request: []string{"if-match", "*"}, response: []string{"cache-control", "max-age=60"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t, "{"+c.config+"}", c.response...)
			b.status = c.status
			first := b.Get("/x?y", c.request...)
			second := b.Get("/x?y", c.request...)
			if from(first) != "1" || (from(second) == "1") != c.stored {
				t.Errorf("got answers %q and %q, want 1, and 1 again: %v", from(first), from(second), c.stored)
			}
			if c.stored && (second.Body != "a body" || second.Status != first.Status || second.Header.Get("age") == "" ||
				!strings.HasPrefix(second.Header.Get("cache-status"), "moe; hit; ttl=")) {
				t.Errorf("got %d %q %v, want the first response with its age", second.Status, second.Body, second.Header)
			}
		})
	}
}

// Which requests have a response of their own.
func TestKeys(t *testing.T) {
	for _, c := range []struct {
		name, config string
		a, b         []string
		alike        bool
	}{
		{name: "the same", a: []string{"/a?b"}, b: []string{"/a?b"}, alike: true},
		{name: "another query", a: []string{"/a?b"}, b: []string{"/a?c"}},
		{name: "another spelling", a: []string{"/a/b"}, b: []string{"/a/%62"}},
		{name: "dot segments", a: []string{"/a"}, b: []string{"/b/../a"}},
		{name: "another header", a: []string{"/a", "x", "1"}, b: []string{"/a", "x", "2"}, alike: true},
		{name: "part of the key", config: `key: [{from: header, name: x}]`, a: []string{"/a", "x", "1"}, b: []string{"/a", "x", "2"}},
		{name: "another consumer", a: []string{"/a", "x-consumer", "a"}, b: []string{"/a", "x-consumer", "b"}},
		{name: "consumer and none", a: []string{"/a", "x-consumer", "a"}, b: []string{"/a"}},
		{name: "another caller by claims", a: []string{"/a", "x-caller", "a"}, b: []string{"/a", "x-caller", "b"}},
		{name: "caller and none", a: []string{"/a", "x-caller", "a"}, b: []string{"/a"}},
		{name: "another caller of the same consumer", a: []string{"/a", "x-consumer", "c", "x-caller", "a"}, b: []string{"/a", "x-consumer", "c", "x-caller", "b"}},
		{name: "shared by callers", config: `isolate: none`, a: []string{"/a", "x-caller", "a"}, b: []string{"/a", "x-caller", "b"}, alike: true},
		{
			name: "another authorization of the same consumer",
			a:    []string{"/a", "x-consumer", "c", "authorization", "a"}, b: []string{"/a", "x-consumer", "c", "authorization", "b"},
		},
		{
			name: "another authorization of the same caller",
			a:    []string{"/a", "x-caller", "c", "authorization", "a"}, b: []string{"/a", "x-caller", "c", "authorization", "b"},
		},
		{
			name: "another authorization, shared", config: `isolate: none`,
			a: []string{"/a", "authorization", "a"}, b: []string{"/a", "authorization", "b"}, alike: true,
		},
		{name: "another authorization", a: []string{"/a", "authorization", "a"}, b: []string{"/a", "authorization", "b"}},
		{name: "shared", config: `isolate: none`, a: []string{"/a", "x-consumer", "a"}, b: []string{"/a", "x-consumer", "b"}, alike: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t, "{"+c.config+"}", "cache-control", "public, max-age=60")
			b.wants(t, "1", c.a[0], c.a[1:]...)
			want := "2"
			if c.alike {
				want = "1"
			}
			b.wants(t, want, c.b[0], c.b[1:]...)
			b.wants(t, "1", c.a[0], c.a[1:]...)
		})
	}
	t.Run("host and scheme", func(t *testing.T) {
		b := newBed(t, "{}", "cache-control", "max-age=60")
		ask := func(host string) string {
			r := filtertest.NewRequest("GET", "/", "")
			r.Host = host
			return from(b.Do(r))
		}
		got := []string{ask("a.example"), ask("b.example"), ask("a.example:81"), ask("A.EXAMPLE")}
		if want := []string{"1", "2", "3", "1"}; !slices.Equal(got, want) {
			t.Errorf("got answers %q, want %q", got, want)
		}
	})
}

func TestVary(t *testing.T) {
	b := newBed(t, "{maxVariants: 2}", "cache-control", "max-age=60", "vary", "Accept-Language, accept-language", "vary", "x-b")
	b.wants(t, "1", "/", "accept-language", "de")
	b.wants(t, "2", "/", "accept-language", "en")
	b.wants(t, "1", "/", "accept-language", " de ")
	b.wants(t, "3", "/") // none is not the empty one, and pushes out one of two
	b.wants(t, "3", "/")
	b.wants(t, "2", "/", "accept-language", "en")
	b.wants(t, "4", "/", "accept-language", "en", "x-b", "1")
	b.wants(t, "5", "/", "accept-language", "de", "accept-language", "en")
	b.wants(t, "5", "/", "accept-language", "de,en")
	if n := b.Metric("objects"); n != 2 {
		t.Errorf("%d objects are stored, want 2", n)
	}
	// Values that look like several fields are not taken for them.
	b = newBed(t, "{}", "cache-control", "max-age=60", "vary", "a, b")
	b.wants(t, "1", "/", "a", "1", "b", "2")
	b.wants(t, "2", "/", "a", "1,2")
	b.wants(t, "3", "/", "a", "1\x1fb", "b", "2")
}

func TestRevalidation(t *testing.T) {
	b := newBed(t, "{}", "cache-control", "max-age=10", "x-fresh", "1")
	b.current = `"v1"`
	b.wants(t, "1", "/")
	b.advance(11 * time.Second)
	b.header = []string{"cache-control", "max-age=20", "x-fresh", "2", "content-type", "no/such"}
	r := b.wants(t, "2", "/") // a 304, whose fields update those that are stored
	if r.Status != 200 || r.Body != "a body" || r.Header.Get("x-fresh") != "2" || r.Header.Get("content-type") == "no/such" {
		t.Errorf("got %d %q %v, want the stored body with the new fields", r.Status, r.Body, r.Header)
	}
	if got := b.last.Load().Header.Get("if-none-match"); got != `"v1"` {
		t.Errorf("if-none-match was %q, want the stored tag", got)
	}
	b.advance(15 * time.Second)
	b.wants(t, "2", "/") // by the new time
	b.advance(6 * time.Second)
	b.current, b.body = `"v2"`, "another body"
	if r := b.wants(t, "3", "/"); r.Body != "another body" {
		t.Errorf("got %q, want the new body", r.Body)
	}
	if r := b.wants(t, "3", "/"); r.Body != "another body" {
		t.Errorf("got %q, want the new body, stored", r.Body)
	}
	if n := b.Metric("revalidated"); n != 1 {
		t.Errorf("revalidated is %d, want 1", n)
	}
}

// Requests with conditions and ranges get 304, 206 and 416 from what is stored.
// A response that says to be older than a duration can be is stale, for all that time adds to its age.
func TestOldest(t *testing.T) {
	for _, header := range [][]string{
		{"date", "Mon, 01 Jan 0001 00:00:00 GMT"},
		{"age", "99999999999999999999"},
	} {
		t.Run(header[0], func(t *testing.T) {
			b := newBed(t, "{}", append(header, "cache-control", "max-age=10", "etag", `"v"`)...)
			b.wants(t, "1", "/")
			b.advance(20 * time.Second) // more than max-age: an age that overflows makes it fresh
			b.wants(t, "2", "/")
		})
	}
}

func TestConditionsAndRanges(t *testing.T) {
	const modified = "Thu, 01 Dec 1994 16:00:00 GMT"
	b := newBed(t, "{}", "cache-control", "max-age=60", "etag", `"a"`, "last-modified", modified, "x-other", "y")
	b.body = "0123456789"
	b.wants(t, "1", "/")
	for _, c := range []struct {
		name   string
		header []string
		status int
		body   string
		part   string // content-range
	}{
		{name: "the tag", header: []string{"if-none-match", `"x", W/"a"`}, status: 304},
		{name: "any tag", header: []string{"if-none-match", "*"}, status: 304},
		{name: "another tag", header: []string{"if-none-match", `"b"`, "if-modified-since", modified}, status: 200, body: b.body},
		{name: "the date", header: []string{"if-modified-since", modified}, status: 304},
		{name: "an older date", header: []string{"if-modified-since", "Thu, 01 Dec 1994 15:59:59 GMT"}, status: 200, body: b.body},
		{name: "no date", header: []string{"if-modified-since", "yesterday"}, status: 200, body: b.body},
		{name: "a range", header: []string{"range", "bytes=2-4"}, status: 206, body: "234", part: "bytes 2-4/10"},
		{name: "to the end", header: []string{"range", "bytes=7-"}, status: 206, body: "789", part: "bytes 7-9/10"},
		{name: "beyond the end", header: []string{"range", "Bytes=7-99999999999999999999"}, status: 206, body: "789", part: "bytes 7-9/10"},
		{name: "the last", header: []string{"range", "bytes=-3"}, status: 206, body: "789", part: "bytes 7-9/10"},
		{name: "more than the last", header: []string{"range", "bytes=-30"}, status: 206, body: b.body, part: "bytes 0-9/10"},
		{name: "after the end", header: []string{"range", "bytes=10-"}, status: 416, part: "bytes */10"},
		{name: "none of the last", header: []string{"range", "bytes=-0"}, status: 416, part: "bytes */10"},
		{name: "several", header: []string{"range", "bytes=0-1,3-4"}, status: 200, body: b.body},
		{name: "backwards", header: []string{"range", "bytes=4-2"}, status: 200, body: b.body},
		{name: "another unit", header: []string{"range", "lines=1-2"}, status: 200, body: b.body},
		{name: "if the tag is the same", header: []string{"range", "bytes=0-0", "if-range", `"a"`}, status: 206, body: "0", part: "bytes 0-0/10"},
		{name: "if a weak tag", header: []string{"range", "bytes=0-0", "if-range", `W/"a"`}, status: 200, body: b.body},
		{name: "if another tag", header: []string{"range", "bytes=0-0", "if-range", `"b"`}, status: 200, body: b.body},
		{name: "if the date is the same", header: []string{"range", "bytes=0-0", "if-range", modified}, status: 206, body: "0", part: "bytes 0-0/10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := b.wants(t, "1", "/", c.header...)
			if r.Status != c.status || r.Body != c.body || r.Header.Get("content-range") != c.part || r.Header.Get("etag") != `"a"` {
				t.Errorf("got %d %q %v, want %d %q with content-range %q and the tag", r.Status, r.Body, r.Header, c.status, c.body, c.part)
			}
		})
	}
	r := b.Do(filtertest.NewRequest("HEAD", "/", ""))
	if r.Status != 200 || r.Body != "" || from(r) != "1" || r.Header.Get("content-length") != "10" {
		t.Errorf("HEAD: got %d %q %v, want 200 from what is stored, with its length", r.Status, r.Body, r.Header)
	}
}

func TestStaleWhileRevalidate(t *testing.T) {
	b := newBed(t, "{}", "cache-control", "max-age=10, stale-while-revalidate=10")
	b.wants(t, "1", "/")
	b.advance(11 * time.Second)
	// The one that revalidates waits in the origin; the others get what is stored.
	enter, leave := make(chan struct{}), make(chan struct{})
	b.Upstream = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(enter)
		<-leave
		b.origin.ServeHTTP(w, r)
	})
	var wg sync.WaitGroup
	wg.Go(func() { b.wants(t, "2", "/") })
	<-enter
	for range 3 {
		if r := b.wants(t, "1", "/"); !strings.HasPrefix(r.Header.Get("cache-status"), "moe; hit; ttl=-") {
			t.Errorf("cache-status is %q, want a hit that is stale", r.Header.Get("cache-status"))
		}
	}
	close(leave)
	wg.Wait()
	b.Upstream = b.origin
	b.wants(t, "2", "/")
	b.advance(21 * time.Second) // and after both times nothing is
	b.wants(t, "3", "/")
}

func TestStaleIfError(t *testing.T) {
	for _, c := range []struct {
		name, config, control string
		request               []string
		stale                 bool
	}{
		{name: "not said", control: "max-age=10"},
		{name: "said", control: "max-age=10, stale-if-error=60", stale: true},
		{name: "too late", control: "max-age=10, stale-if-error=5"},
		{name: "by the operator", config: "staleIfError: 1m", control: "max-age=10", stale: true},
		{name: "forbidden", config: "staleIfError: 1m", control: "max-age=10, must-revalidate"},
		{name: "forbidden to proxies", config: "staleIfError: 1m", control: "s-maxage=10"},
		{name: "by the request", control: "max-age=10", request: []string{"cache-control", "stale-if-error=60"}, stale: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t, "{"+c.config+"}", "cache-control", c.control, "etag", `"a"`)
			b.wants(t, "1", "/")
			b.advance(20 * time.Second)
			b.status = 503
			r := b.Get("/", c.request...)
			if (r.Status == 200 && from(r) == "1") != c.stale {
				t.Errorf("got %d, answer %q; want the stored one: %v", r.Status, from(r), c.stale)
			}
		})
	}
}

func TestClientDirectives(t *testing.T) {
	for _, c := range []struct {
		name, control, ignored string // which answer comes, and with ignoreClients
		want                   string
	}{
		{name: "none", control: "x", want: "1", ignored: "1"},
		{name: "no-cache", control: "no-cache", want: "2", ignored: "1"},
		{name: "younger", control: "max-age=3", want: "2", ignored: "1"},
		{name: "old enough", control: "max-age=30", want: "1", ignored: "1"},
		{name: "fresh for longer", control: "min-fresh=30", want: "2", ignored: "1"},
		{name: "fresh enough", control: "min-fresh=1", want: "1", ignored: "1"},
		{name: "only if cached", control: "only-if-cached", want: "1", ignored: "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for config, want := range map[string]string{"{}": c.want, "{ignoreClients: true}": c.ignored} {
				b := newBed(t, config, "cache-control", "max-age=20")
				b.wants(t, "1", "/")
				b.advance(10 * time.Second)
				b.wants(t, want, "/", "cache-control", c.control)
			}
		})
	}
	for config, want := range map[string]string{"{}": "2", "{ignoreClients: true}": "1"} {
		b := newBed(t, config, "cache-control", "max-age=20")
		b.wants(t, "1", "/", "cache-control", "no-store")
		b.wants(t, want, "/")
	}
	b := newBed(t, "{}", "cache-control", "max-age=20")
	if r := b.Get("/", "cache-control", "only-if-cached"); r.Status != 504 || b.asked.Load() != 0 {
		t.Errorf("only-if-cached of what is not stored: got %d, want 504 without asking", r.Status)
	}
	b.wants(t, "1", "/")
	b.advance(25 * time.Second)
	b.wants(t, "1", "/", "cache-control", "max-stale=10")
	b.wants(t, "1", "/", "cache-control", "max-stale")
	b.wants(t, "2", "/", "cache-control", "max-stale=3")
}

// Many requests for what is not stored yet make one to the upstream.
func TestCollapse(t *testing.T) {
	b := newBed(t, "{}", "cache-control", "max-age=60")
	b.body = strings.Repeat("x", 10_000)
	b.Host.Chunk = 1000
	entered, leave := make(chan struct{}, 100), make(chan struct{})
	b.Upstream = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-leave
		b.origin.ServeHTTP(w, r)
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if r := b.wants(t, "1", "/"); len(r.Body) != 10_000 {
				t.Errorf("got a body of %d bytes, want 10000", len(r.Body))
			}
		})
	}
	<-entered
	authztest.Until(t, "the others wait", func() bool { return b.Metric("collapsed") == 19 })
	close(leave)
	wg.Wait()
	if n := b.asked.Load(); n != 1 {
		t.Errorf("the origin was asked %d times, want once", n)
	}
}

// What turns out not to be stored does not have requests wait for each other, and one that fails lets the others go.
func TestCollapseEnds(t *testing.T) {
	b := newBed(t, "{collapse: 20s}", "cache-control", "private")
	start := time.Now()
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { b.Get("/") })
	}
	wg.Wait()
	before := b.Metric("collapsed")
	for range 10 {
		wg.Go(func() { b.Get("/") })
	}
	wg.Wait()
	if n := b.Metric("collapsed"); n != before {
		t.Errorf("%d requests wait although the response is private, want none", n-before)
	}
	b = newBed(t, "{collapse: 20s}", "cache-control", "max-age=60")
	b.Leave = func(after string) bool { return after == "request headers" }
	b.Get("/")
	b.Leave = nil
	b.wants(t, "1", "/")
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the requests took %v, want none to wait for what has ended", took)
	}
}

func TestInvalidation(t *testing.T) {
	b := newBed(t, "{}", "cache-control", "max-age=60")
	for _, c := range []struct {
		name     string
		method   string
		status   int
		response []string
		gone     []string
	}{
		{name: "POST", method: "POST", gone: []string{"/a"}},
		{name: "DELETE", method: "DELETE", status: 204, gone: []string{"/a"}},
		{name: "of another method", method: "FROB", gone: []string{"/a"}},
		{name: "with location", method: "PUT", status: 303, response: []string{"location", "/b", "content-location", "http://example.com/c?d"}, gone: []string{"/a", "/b", "/c?d"}},
		{name: "with another host's location", method: "PUT", response: []string{"location", "http://other.example/b", "content-location", "//other.example/c?d"}, gone: []string{"/a"}},
		{name: "with an origin in capitals", method: "PUT", response: []string{"location", "HTTP://EXAMPLE.com/b"}, gone: []string{"/a", "/b"}},
		{name: "with letters that grow in lower case", method: "PUT", response: []string{"location", "http://example.com/" + strings.Repeat("\u023a", 20)}, gone: []string{"/a"}},
		{name: "with a letter that folds to ASCII", method: "PUT", response: []string{"location", "http://\u212a.example/b"}, gone: []string{"/a"}},
		{name: "that fails", method: "POST", status: 500},
		{name: "that is safe", method: "OPTIONS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := []string{"/a", "/b", "/c?d"}
			b.status, b.header = 0, []string{"cache-control", "max-age=60"}
			for _, path := range all {
				b.Get(path)
			}
			b.status, b.header = c.status, c.response
			b.Do(filtertest.NewRequest(c.method, "/a", ""))
			b.status = 0
			for _, path := range all {
				before := b.asked.Load()
				b.Get(path)
				if gone, want := b.asked.Load() > before, strings.Contains(strings.Join(c.gone, " ")+" ", path+" "); gone != want {
					t.Errorf("%s is gone: %v, want %v", path, gone, want)
				}
			}
		})
	}
}

func TestPurge(t *testing.T) {
	const config = `{purge: {networks: [10.0.0.0/8], consumers: [admin]}}`
	b := newBed(t, config, "cache-control", "max-age=60", "surrogate-key", "all one", "cache-tag", "x y, z")
	purge := func(path string, header ...string) *filtertest.Response {
		return b.Do(filtertest.NewRequest("PURGE", path, "", append(header, "x-consumer", "admin")...))
	}
	for _, path := range []string{"/a", "/b"} {
		b.Get(path)
		b.Get(path, "x-consumer", "u")
	}
	for _, c := range []struct {
		name   string
		path   string
		header []string
		n      string
	}{
		{name: "a URI, of all consumers", path: "/a", n: "2"},
		{name: "again", path: "/a", n: "0"},
		{name: "a key", path: "/", header: []string{"surrogate-key", "none one"}, n: "2"},
		{name: "no key", path: "/b", header: []string{"surrogate-key", ""}, n: "0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if r := purge(c.path, c.header...); r.Status != 200 || r.Body != `{"purged":`+c.n+`}` || r.Upstream != nil {
				t.Errorf("got %d %s, want %s purged", r.Status, r.Body, c.n)
			}
		})
	}
	b.Get("/c")
	if r := purge("/", "cache-tag", "q,x y"); r.Body != `{"purged":1}` {
		t.Errorf("by cache-tag: got %s, want 1 purged", r.Body)
	}
	b.Get("/c")
	if r := b.Do(filtertest.NewRequest("PURGE", "/c", "")); r.Status != 403 {
		t.Errorf("by nobody: got %d, want 403", r.Status)
	}
	b.Attrs[filter.AttrSourceAddress] = "192.0.2.1:1"
	if r := purge("/c"); r.Status != 403 {
		t.Errorf("from elsewhere: got %d, want 403", r.Status)
	}
	before := b.asked.Load()
	if b.Get("/c"); b.asked.Load() != before {
		t.Error("a purge that is denied removes something, want nothing")
	}
	plain := newBed(t, "{}", "cache-control", "max-age=60")
	if r := plain.Do(filtertest.NewRequest("PURGE", "/c", "")); r.Upstream == nil {
		t.Errorf("without purge: got %d, want what the upstream says", r.Status)
	}
}

// However much comes, the cache stays within its bytes, and counts what it has.
func TestBounds(t *testing.T) {
	b := newBed(t, "{maxBytes: 100KiB, maxObject: 20KiB}", "cache-control", "max-age=60", "surrogate-key", "all")
	b.body = strings.Repeat("x", 10<<10)
	for i := range 100 {
		b.Get(fmt.Sprint("/", i))
		if n := b.Metric("bytes"); n > 100<<10 {
			t.Fatalf("%d bytes are used, want 100 KiB at most", n)
		}
	}
	if n := b.Metric("objects"); n < 5 || n > 9 || b.Metric("evicted") != 100-n {
		t.Errorf("%d objects, %d evicted; want some, and the rest of 100", n, b.Metric("evicted"))
	}
	before := b.asked.Load()
	if b.Get("/99"); b.asked.Load() != before {
		t.Error("the last response is gone, want it stored")
	}
}

// A response that ends early, or that is not as long as it says, is not stored.
func TestCutResponses(t *testing.T) {
	b := newBed(t, "{}", "cache-control", "max-age=60")
	b.Host.Chunk = 2
	b.Leave = func(after string) bool { return after == "response body" }
	b.Get("/")
	b.Leave = nil
	b.wants(t, "2", "/")
	b.wants(t, "2", "/")
	if n := b.Metric("unstored", "cut"); n != 1 {
		t.Errorf("%d responses were cut, want 1", n)
	}
}

func TestFields(t *testing.T) {
	b := newBed(t, "{}", "cache-control", `max-age=60, private="x-secret, X-Other", no-cache=x-third`, "x-secret", "1", "x-other", "2",
		"x-third", "3", "x-kept", "4", "connection", "x-hop", "x-hop", "5", "keep-alive", "6", "proxy-authenticate", "7", "x-two", "a", "x-two", "b")
	b.wants(t, "1", "/")
	r := b.wants(t, "1", "/")
	gone := []string{"x-secret", "x-other", "x-third", "x-hop", "keep-alive", "proxy-authenticate", "connection"}
	if i := slices.IndexFunc(gone, func(name string) bool { return r.Header.Get(name) != "" }); i >= 0 {
		t.Errorf("%s is %q in what was stored, want none", gone[i], r.Header.Get(gone[i]))
	}
	if r.Header.Get("x-kept") != "4" || len(r.Header.Values("x-two")) != 2 {
		t.Errorf("got %v, want the other fields as they were", r.Header)
	}
}

// transport is an Envoy cluster, for refreshes in the background.
type transport struct {
	b    *bed
	seen chan *http.Request
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.seen <- r
	w := &recorder{header: http.Header{}, status: 200}
	t.b.origin.ServeHTTP(w, r)
	return w.response(), nil
}

func TestRefresh(t *testing.T) {
	b := &bed{Host: &filtertest.Host{}, origin: &origin{header: []string{"cache-control", "max-age=10, stale-while-revalidate=100"}, body: "x"}, clock: &clock{}}
	tr := &transport{b: b, seen: make(chan *http.Request, 10)}
	b.Clusters = map[string]http.RoundTripper{"up": tr}
	b.Upstream = b.origin
	b.current = `"v1"`
	b.load(t, `{refreshCluster: up}`)
	header := []string{"accept", "a/b", "range", "bytes=0-0", "connection", "x-hop", "x-hop", "1", "cookie", "c=d"}
	b.wants(t, "1", "/a%2fb?c=%20")
	b.advance(11 * time.Second)
	if r := b.wants(t, "1", "/a%2fb?c=%20", header...); r.Body != "x" {
		t.Errorf("got %q, want the stored body at once", r.Body)
	}
	q := <-tr.seen
	if q.URL.RequestURI() != "/a%2fb?c=%20" || q.Host != "example.com" || q.Header.Get("accept") != "a/b" || q.Header.Get("cookie") != "c=d" ||
		q.Header.Get("range") != "" || q.Header.Get("x-hop") != "" || q.Header.Get("if-none-match") != `"v1"` {
		t.Errorf("the request in the background is %s of %s with %v; want that of the client, with the stored tag", q.URL.RequestURI(), q.Host, q.Header)
	}
	authztest.Until(t, "it is refreshed", func() bool { return b.Metric("revalidated") == 1 })
	authztest.Until(t, "it is stored", func() bool { return from(b.Get("/a%2fb?c=%20")) == "2" })
	err := (&filtertest.Host{Lacks: filter.CanCallout}).Load(t, filtertest.Config{Name: "cache", JSON: `{refreshCluster: up}`})
	if err == nil || !strings.Contains(err.Error(), "refreshCluster") {
		t.Errorf("on a host without callouts: got %v, want an error about refreshCluster", err)
	}
}

// A request in the background is the cache's own: what a client may not have stored does not count for it.
func TestRefreshIgnoresTheClient(t *testing.T) {
	for _, config := range []string{"{refreshCluster: up}", "{refreshCluster: up, ignoreClients: true}"} {
		t.Run(config, func(t *testing.T) {
			b := &bed{Host: &filtertest.Host{}, origin: &origin{header: []string{"cache-control", "max-age=10, stale-while-revalidate=100"}}, clock: &clock{}}
			b.Clusters = map[string]http.RoundTripper{"up": &transport{b: b, seen: make(chan *http.Request, 10)}}
			b.Upstream = b.origin
			b.load(t, config)
			b.wants(t, "1", "/")
			b.advance(11 * time.Second)
			b.wants(t, "1", "/", "cache-control", "no-store")
			authztest.Until(t, "the refresh is stored", func() bool { return b.Metric("stored") == 2 })
			b.wants(t, "2", "/")
		})
	}
}

func TestErrors(t *testing.T) {
	for config, want := range map[string]string{
		`{maxBytes: 1}`:            "maxBytes",
		`{maxObject: 1GiB}`:        "maxObject",
		`{maxVariants: 0}`:         "maxVariants",
		`{heuristic: 2}`:           "heuristic",
		`{staleIfError: -1s}`:      "staleIfError",
		`{collapse: 1m}`:           "collapse",
		`{cacheStatus: "a b"}`:     "cacheStatus",
		`{unkeyed: ["a b"]}`:       "unkeyed[0]",
		`{purge: {}}`:              "purge: give networks or consumers",
		`{purge: {networks: [x]}}`: "purge.networks[0]",
		`{key: [{from: header}]}`:  "key[0].name",
		`{isolate: user}`:          "isolate",
	} {
		t.Run(config, func(t *testing.T) {
			if got := authztest.Refused(t, "cache", config); !strings.Contains(got, want) {
				t.Errorf("got %q, want it to contain %q", got, want)
			}
		})
	}
	b := newBed(t, `{key: [{from: metadata, namespace: a, key: b}]}`, "cache-control", "max-age=60")
	b.Metadata = map[string]any{"a/b": []any{}}
	b.wants(t, "1", "/")
	if b.wants(t, "2", "/"); b.Metric("bypassed", "error") != 2 {
		t.Errorf("%d requests without a key have passed by, want 2", b.Metric("bypassed", "error"))
	}
}

func TestParallel(t *testing.T) {
	b := newBed(t, "{maxBytes: 50KiB, maxObject: 5KiB, purge: {networks: [10.0.0.0/8]}}", "cache-control", "max-age=1, stale-while-revalidate=1", "surrogate-key", "k", "vary", "x-v")
	var wg sync.WaitGroup
	b.Upstream = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("cache-control", "max-age=1, stale-while-revalidate=1")
		w.Header().Set("vary", "x-v")
		w.Header().Set("surrogate-key", "k")
		fmt.Fprint(w, r.URL.Path, strings.Repeat("x", 1000))
	})
	for g := range 8 {
		wg.Go(func() {
			for i := range 150 {
				path := fmt.Sprint("/", (i*g)%40)
				switch r := b.Get(path, "x-v", fmt.Sprint(i%3)); {
				case r.Status != 200 || !strings.HasPrefix(r.Body, path+"x") || len(r.Body) != 1000+len(path):
					t.Errorf("%s: got %d with %.20q, want its own body", path, r.Status, r.Body)
				case i%50 == 0:
					b.Do(filtertest.NewRequest("PURGE", "/", "", "surrogate-key", "k"))
				case i%20 == 0:
					b.advance(500 * time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	if n := b.Metric("bytes"); n > 50<<10 || n < 0 {
		t.Errorf("%d bytes are used, want 50 KiB at most", n)
	}
}

// What a hit costs does not grow with the body.
func TestHitCost(t *testing.T) {
	cost := func(size int) float64 {
		p := &Cache{MaxBytes: 16 << 20, MaxObject: 8 << 20, MaxVariants: 1, MaxAge: time.Hour, CacheStatus: "moe"}
		filtertest.New(t, p)
		r := &request{method: "GET"}
		e := &entry{Status: 200, Header: fields{{"content-type", "a/b"}}, Body: make([]byte, size), Received: time.Now(), Lifetime: time.Hour}
		p.memory.put(r.key, e, time.Now(), r.begun)
		result := testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				entries, _, _ := p.memory.get(r.key, p.now())
				p.answer(pick(entries, nil), r, p.now(), "hit")
			}
		})
		return float64(result.AllocedBytesPerOp())
	}
	if small, large := cost(10), cost(4<<20); large > small+64 {
		t.Errorf("a hit allocates %.0f bytes for a body of 10 and %.0f for one of 4 MiB, want the same", small, large)
	}
}

func BenchmarkHit(b *testing.B) {
	p := &Cache{MaxBytes: 1 << 20, MaxObject: 1 << 19, MaxVariants: 1, MaxAge: time.Hour, CacheStatus: "moe"}
	filtertest.New(b, p)
	stored := false
	plugintest.BenchRequest(b, func(s filter.Stream, h filter.RequestHeaders) {
		if !stored {
			r, _, err := p.read(s, h, true)
			if err != nil {
				b.Fatalf("p.read: %v", err)
			}
			p.memory.put(r.key, &entry{Status: 200, Header: fields{{"content-type", "a/b"}}, Received: time.Now(), Lifetime: time.Hour}, time.Now(), r.begun)
			stored = true
		}
		if p.newStream(s).OnRequestHeaders(s, h, true) == filter.Continue {
			b.Fatal("not stored")
		}
	})
}
