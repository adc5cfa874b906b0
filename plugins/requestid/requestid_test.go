package requestid

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/plugintest"
)

func host(t *testing.T, config string) *filtertest.Host {
	t.Helper()
	return filtertest.New(t, filtertest.Config{Name: "requestid", JSON: config})
}

// Both times are within the milliseconds that the ids have.
func TestFormats(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	near := func(t *testing.T, made time.Time) {
		t.Helper()
		if d := time.Since(made); d < -time.Second || d > time.Minute {
			t.Errorf("the id says that it was made at %v, want now", made)
		}
	}
	for _, c := range []struct {
		format, traceparent string
		check               func(t *testing.T, id string)
	}{
		{format: "uuid7", check: func(t *testing.T, id string) {
			u, err := uuid.Parse(id)
			if err != nil || u.Version() != 7 {
				t.Fatalf("got %q, version %d, %v; want a UUID of version 7", id, u.Version(), err)
			}
			seconds, nanoseconds := u.Time().UnixTime()
			near(t, time.Unix(seconds, nanoseconds))
		}},
		{format: "uuid4", check: func(t *testing.T, id string) {
			if u, err := uuid.Parse(id); err != nil || u.Version() != 4 {
				t.Errorf("got %q, version %d, %v; want a UUID of version 4", id, u.Version(), err)
			}
		}},
		{format: "ulid", check: func(t *testing.T, id string) {
			u, err := ulid.ParseStrict(id)
			if err != nil {
				t.Fatalf("ulid.ParseStrict(%q): %v", id, err)
			}
			near(t, ulid.Time(u.Time()))
		}},
		{format: "traceId", check: func(t *testing.T, id string) {
			if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(id) {
				t.Errorf("got %q, want 32 hexadecimal digits", id)
			}
		}},
		{format: "traceId", traceparent: parent, check: func(t *testing.T, id string) {
			if want := "0af7651916cd43dd8448eb211c80319c"; id != want {
				t.Errorf("got %q, want %q, that of traceparent", id, want)
			}
		}},
		{format: "traceId", traceparent: strings.Replace(parent, "0af", "xyz", 1), check: func(t *testing.T, id string) {
			if len(id) != 32 || strings.Contains(id, "7651916cd43dd8448eb211c80319c") {
				t.Errorf("got %q, want another id than that of a traceparent that is wrong", id)
			}
		}},
	} {
		t.Run(c.format+" "+c.traceparent, func(t *testing.T) {
			h := host(t, `{format: `+c.format+`}`)
			header := []string{"x-request-id", "of-the-client"}
			if c.traceparent != "" {
				header = append(header, "traceparent", c.traceparent)
			}
			r := h.Get("/", header...)
			id := r.Upstream.Header.Get("x-request-id")
			c.check(t, id)
			if got := r.Header.Get("x-request-id"); got != id {
				t.Errorf("the response has %q, want %q", got, id)
			}
			if got := r.Metadata["moe.requestid/id"]; got != id {
				t.Errorf("the metadata has %v, want %q", got, id)
			}
			if c.traceparent != parent && h.Get("/").Header.Get("x-request-id") == id {
				t.Errorf("two requests have the id %q", id)
			}
		})
	}
}

func TestTrust(t *testing.T) {
	for _, c := range []struct {
		name, config string
		values       []string
		keep         bool
		counter      string
	}{
		{name: "not trusted", config: `{}`, values: []string{"abc"}, counter: "generated"},
		{name: "trusted", config: `{trust: true}`, values: []string{"a-Z_0.9:=+/@"}, keep: true, counter: "trusted"},
		{name: "none", config: `{trust: true}`, counter: "generated"},
		{name: "two", config: `{trust: true}`, values: []string{"a", "b"}, counter: "malformed"},
		{name: "empty", config: `{trust: true}`, values: []string{""}, counter: "malformed"},
		{name: "a space", config: `{trust: true}`, values: []string{"a b"}, counter: "malformed"},
		{name: "a quote", config: `{trust: true}`, values: []string{`a"b`}, counter: "malformed"},
		{name: "a list", config: `{trust: true}`, values: []string{"a,b"}, counter: "malformed"},
		{name: "not ASCII", config: `{trust: true}`, values: []string{"a\xff"}, counter: "malformed"},
		{name: "the longest", config: `{trust: true, maxLength: 3}`, values: []string{"abc"}, keep: true, counter: "trusted"},
		{name: "too long", config: `{trust: true, maxLength: 3}`, values: []string{"abcd"}, counter: "malformed"},
		{name: "huge", config: `{trust: true}`, values: []string{strings.Repeat("a", 1<<20)}, counter: "malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := host(t, c.config)
			var header []string
			for _, v := range c.values {
				header = append(header, "x-request-id", v)
			}
			r := h.Get("/", header...)
			got := r.Upstream.Header.Values("x-request-id")
			if len(got) != 1 || c.keep != (len(c.values) > 0 && got[0] == c.values[0]) {
				t.Errorf("the upstream sees %.40q, want one id, the client's: %v", got, c.keep)
			}
			if n := h.Metric(c.counter); n != 1 {
				t.Errorf("h.Metric(%q) = %d, want 1", c.counter, n)
			}
		})
	}
}

func TestResponse(t *testing.T) {
	r := host(t, `{hideFromClient: true, header: X-Correlation}`).Get("/")
	if r.Header.Get("x-correlation") != "" || r.Upstream.Header.Get("x-correlation") == "" {
		t.Errorf("the client sees %v, want no id; the upstream sees %v, want one", r.Header, r.Upstream.Header)
	}
	// A later plugin that replies gets the id too.
	h := filtertest.New(t, filtertest.Config{Name: "requestid", JSON: `{trust: true}`}, &refuser{})
	if r := h.Get("/", "x-request-id", "abc"); r.Status != 403 || r.Header.Get("x-request-id") != "abc" {
		t.Errorf("got %d with the id %q, want 403 with abc", r.Status, r.Header.Get("x-request-id"))
	}
}

type refuser struct{}

func init() { filter.Register[refuser]("requestid-refuser", filter.Traffic) }

func (*refuser) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	return filter.Reply(403, "no")
}

func TestRefused(t *testing.T) {
	for config, want := range map[string]string{
		`{header: ":path"}`: "header", `{header: ""}`: "header", `{format: uuid1}`: "format",
		`{maxLength: 0}`: "maxLength", `{maxLength: 1025}`: "maxLength",
	} {
		t.Run(config, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, filtertest.Config{Name: "requestid", JSON: config})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want one with %q", err, want)
			}
		})
	}
}

func FuzzTrust(f *testing.F) {
	f.Add("abc")
	f.Add("a b")
	f.Fuzz(func(t *testing.T, id string) {
		if wellFormed(id, 128) && !regexp.MustCompile(`^[-A-Za-z0-9_.:=+/@]{1,128}$`).MatchString(id) {
			t.Errorf("%q is kept", id)
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	for _, format := range []string{"uuid7", "ulid", "traceId"} {
		b.Run(format, func(b *testing.B) {
			p := &RequestID{Header: "x-request-id", Format: format}
			filtertest.New(b, p)
			plugintest.BenchRequest(b, func(s filter.Stream, h filter.RequestHeaders) {
				p.newStream(s).OnRequestHeaders(s, h, true)
			})
		})
	}
}
