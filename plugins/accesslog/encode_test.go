package accesslog

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/plugintest"
)

var texts = []string{
	"", "plain", `a "quoted\" value`, "tab\there", "line\r\nbreak", "\x00\x01\x1f\x7f", "grüße, 世界 🎉",
	"C1 \u0080\u0085\u009b31m\u009f\u00a0", "latin-1 \xe4\xf6", "\xed\xa0\x80 surrogate", "cut \xe2\x82", "\u2028\u2029", "\ufffd", "</script>",
}

func TestText(t *testing.T) {
	for _, s := range texts {
		checkText(t, s)
	}
	if got := string(text(nil, "a\xffb")); got != `"a\ufffdb"` {
		t.Errorf("text(nil, \"a\\xffb\") = %q, want %q", got, `"a\ufffdb"`)
	}
}

func FuzzText(f *testing.F) {
	for _, s := range texts {
		f.Add(s)
	}
	f.Fuzz(checkText)
}

func checkText(t *testing.T, s string) {
	b := text([]byte("x"), s)[1:]
	var got string
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatalf("%q: %v in %s", s, err, b)
	}
	if want := string([]rune(s)); got != want { // the conversion has U+FFFD for what is not UTF-8
		t.Errorf("%q: got %q, want %q", s, got, want)
	}
	if !utf8.Valid(b) {
		t.Errorf("%q: the line is not UTF-8: %q", s, b)
	}
	for _, r := range string(b) {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			t.Errorf("%q: the line has %U: %q", s, r, b)
		}
	}
}

func TestTimestamp(t *testing.T) {
	for _, ns := range []int{0, 999_999, 1_000_000, 45_600_000, 999_999_999} {
		t.Run(fmt.Sprint(ns), func(t *testing.T) {
			at := time.Date(2026, 2, 3, 4, 5, 6, ns, time.FixedZone("", 3600))
			if got, want := string(timestamp(nil, at)), at.UTC().Format("2006-01-02T15:04:05.000Z"); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// A header may hold bytes that are not UTF-8; the line is JSON nevertheless.
func TestBytesInHeaders(t *testing.T) {
	p := config(t)
	h := filtertest.New(t, p)
	h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("x-b", "\xff") })
	h.Get("/", "x-a", "gr\xfc\xdfe \"\\")
	e := read(t, p)[0]
	if e.Request.Headers["x-a"][0] != "gr\ufffd\ufffde \"\\" || e.Response.Headers["x-b"][0] != "\ufffd" {
		t.Errorf("got request %q and response %q, want U+FFFD for bytes that are not UTF-8", e.Request.Headers, e.Response.Headers)
	}
}

func BenchmarkEncode(b *testing.B) {
	p := config(b)
	filtertest.New(b, p)
	plugintest.BenchRequest(b, func(s filter.Stream, _ filter.RequestHeaders) {
		x := p.newStream(s)
		line := lines.Get().(*[]byte)
		*line = x.encode((*line)[:0], s, time.Now())
		lines.Put(line)
		p.streams.Put(x)
	})
}

func BenchmarkAccessLog(b *testing.B) {
	p := config(b)
	filtertest.New(b, p)
	plugintest.BenchRequest(b, func(s filter.Stream, h filter.RequestHeaders) {
		x := p.newStream(s)
		x.OnRequestHeaders(s, h, true)
		x.OnComplete(s)
	})
	b.ReportMetric(float64(filtertest.Value(p.counts.dropped))/float64(b.N), "dropped/op")
}
