package accesslog_test

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/accesslog"
	"mosn.io/moe/framework/accesslog/accesslogtest"
)

// slow keeps the paths of requests that took long.
type slow struct {
	Above time.Duration `json:"above" default:"1s"`

	kept    []string
	entries []accesslog.Entry
}

func (l *slow) Log(e accesslog.Entry) {
	l.entries = append(l.entries, e)
	if path, ok := e.RequestHeader(":path"); ok && e.Times().End > l.Above {
		l.kept = append(l.kept, path)
	}
}

func init() { accesslog.Register[slow]("slow") }

func ExampleRegister() {
	// type Slow struct {
	// 	Above time.Duration `json:"above" default:"1s"`
	// }
	//
	// func init() { accesslog.Register[Slow]("slow") }
	//
	// func (l *Slow) Log(e accesslog.Entry) {
	// 	if e.Times().End > l.Above { … }
	// }
	fmt.Println(accesslog.Lookup("slow").Name)
	// Output: slow
}

func TestConfiguration(t *testing.T) {
	l, err := accesslogtest.New[slow](t, "above: 2s")
	if err != nil {
		t.Fatalf("accesslogtest.New: %v", err)
	}
	for path, took := range map[string]time.Duration{"/fast": time.Second, "/slow": 3 * time.Second} {
		accesslogtest.Entry{
			RequestHeaders: [][2]string{{":path", path}}, Times: accesslog.Times{End: took},
		}.Log(l)
	}
	if diff := cmp.Diff([]string{"/slow"}, l.kept); diff != "" {
		t.Errorf("the paths that were kept (-want +got):\n%s", diff)
	}
	for name, conf := range map[string]string{"unknown field": "abofe: 2s", "wrong type": "above: [1]"} {
		t.Run(name, func(t *testing.T) {
			if _, err := accesslogtest.New[slow](t, conf); err == nil || !strings.Contains(err.Error(), "abo") {
				t.Errorf("accesslogtest.New of %q: got error %v, want one that names the field", conf, err)
			}
		})
	}
}

// Every method finds what Envoy has while the entry lives, and nothing once Log has returned.
func TestEntryEnds(t *testing.T) {
	l, err := accesslogtest.New[slow](t, "")
	if err != nil {
		t.Fatalf("accesslogtest.New: %v", err)
	}
	var during []any
	read := func(e accesslog.Entry) []any {
		text, hasText := e.Text(accesslog.RouteName)
		date, hasDate := e.Time(accesslog.UpstreamPeerCertEnd)
		header, hasHeader := e.ResponseHeader("x")
		trailer, hasTrailer := e.ResponseTrailer("y")
		meta, hasMeta := e.Metadata("ns", "key")
		return []any{
			text, hasText, date.UTC(), hasDate, header, hasHeader, trailer, hasTrailer, meta, hasMeta, e.Number(accesslog.ResponseCode),
			e.Truth(accesslog.MTLS), e.Addr(accesslog.DownstreamRemote).String(), len(e.List(accesslog.UpstreamPeerDNSSANs)),
			e.Flags().String(), e.Times().End, e.Bytes().Sent, len(maps.Collect(e.RequestHeaders())),
		}
	}
	date := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	accesslogtest.Entry{
		Texts:   map[accesslog.TextField]string{accesslog.RouteName: "r"},
		Numbers: map[accesslog.NumberField]uint64{accesslog.ResponseCode: 503},
		Truths:  map[accesslog.TruthField]bool{accesslog.MTLS: true},
		Addrs:   map[accesslog.AddrField]netip.AddrPort{accesslog.DownstreamRemote: netip.MustParseAddrPort("[2001:db8::1]:8")},
		Lists:   map[accesslog.ListField][]string{accesslog.UpstreamPeerDNSSANs: {"a", "b"}},
		Dates:   map[accesslog.TimeField]time.Time{accesslog.UpstreamPeerCertEnd: date},
		Flags:   1<<1 | 1<<15, Times: accesslog.Times{End: 7}, Bytes: accesslog.Bytes{Sent: 9},
		RequestHeaders:   [][2]string{{":path", "/"}, {"a", "1"}},
		ResponseHeaders:  [][2]string{{"x", "1"}},
		ResponseTrailers: [][2]string{{"y", "2"}},
		Metadata:         map[string]map[string]any{"ns": {"key": 1.5}},
	}.Log(logFunc(func(e accesslog.Entry) {
		during = read(e)
		l.Log(e)
	}))
	want := []any{
		"r", true, date, true, "1", true, "2", true, 1.5, true, uint64(503), true, "[2001:db8::1]:8", 2, "UH,URX",
		time.Duration(7), uint64(9), 2,
	}
	if diff := cmp.Diff(want, during); diff != "" {
		t.Errorf("during Log (-want +got):\n%s", diff)
	}
	gone := []any{
		"", false, time.Unix(0, 0).UTC(), false, "", false, "", false, nil, false, uint64(0), false, "invalid AddrPort", 0, "",
		time.Duration(0), uint64(0), 0,
	}
	if diff := cmp.Diff(gone, read(l.entries[0])); diff != "" {
		t.Errorf("after Log (-want +got):\n%s", diff)
	}
}

type logFunc func(accesslog.Entry)

func (f logFunc) Log(e accesslog.Entry) { f(e) }

func TestFlags(t *testing.T) {
	f := accesslog.Flags(1<<8 | 1<<5)
	for name, want := range map[string]bool{"NR": true, "UF": true, "UH": false, "": false, "XX": false} {
		t.Run(name, func(t *testing.T) {
			if got := f.Has(name); got != want {
				t.Errorf("Flags(%v).Has(%q) = %v, want %v", f, name, got, want)
			}
		})
	}
}

type (
	noLog    struct{}
	badFlush struct{}
)

func (*badFlush) Log(accesslog.Entry) {}
func (*badFlush) Flush() error        { return nil }

func TestRegisterRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		register func()
		want     string
	}{
		"no Log":             {func() { accesslog.Register[noLog]("nolog") }, "must have the method"},
		"another Flush":      {func() { accesslog.Register[badFlush]("badflush") }, "Flush must be"},
		"a name that is not": {func() { accesslog.Register[slow]("Slow") }, "may only contain"},
		"a name taken":       {func() { accesslog.Register[slow]("slow") }, "duplicate"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), c.want) {
					t.Errorf("Register panics with %v, want %q in it", v, c.want)
				}
			}()
			c.register()
		})
	}
}
