package accesslog

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/accesslog"
	"mosn.io/moe/framework/accesslog/accesslogtest"
)

// logged logs one entry with a configuration and returns the line.
func logged(t *testing.T, conf string, e accesslogtest.Entry) map[string]any {
	t.Helper()
	path := filepath.Join(t.TempDir(), "access.log")
	l, err := accesslogtest.New[Logger](t, "output: "+path+"\n"+conf)
	if err != nil {
		t.Fatalf("accesslogtest.New: %v", err)
	}
	e.Log(l)
	l.Flush()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	var line map[string]any
	if err := json.Unmarshal(text, &line); err != nil {
		t.Fatalf("json.Unmarshal of %q: %v", text, err)
	}
	return line
}

func TestLoggerLine(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	got := logged(t, "redact: [x-key]\nredactQuery: [token]\nmetadata: [{namespace: moe, path: consumer, as: who}, {namespace: n, path: p, as: p}]",
		accesslogtest.Entry{
			Event:   accesslog.DownstreamEnd,
			Numbers: map[accesslog.NumberField]uint64{accesslog.ResponseCode: 503, accesslog.AttemptCount: 2},
			Texts:   map[accesslog.TextField]string{accesslog.UpstreamCluster: "up", accesslog.ResponseCodeDetails: "why\x1b"},
			Addrs:   map[accesslog.AddrField]netip.AddrPort{accesslog.DownstreamRemote: netip.MustParseAddrPort("192.0.2.1:5")},
			Flags:   1 << 1,
			Times: accesslog.Times{
				Start: start, End: 1500 * time.Microsecond, FirstDownstreamSent: accesslog.NotReached, LastUpstreamReply: time.Millisecond,
			},
			Bytes:            accesslog.Bytes{Received: 3, Sent: 4},
			RequestHeaders:   [][2]string{{":method", "GET"}, {":path", "/?token=x&a=1"}, {"x-key", "k"}, {"a", "1"}, {"a", "2"}},
			ResponseHeaders:  [][2]string{{":status", "503"}, {"set-cookie", "s=1"}},
			ResponseTrailers: [][2]string{{"sum", "9"}},
			Metadata:         map[string]map[string]any{"moe": {"consumer": "tom"}},
		})
	want := map[string]any{
		"time": "2026-01-02T03:04:05.006Z", "event": "DownstreamEnd", "method": "GET", "path": "/?token=[redacted]&a=1",
		"status": 503.0, "duration_ms": 1.5, "upstream_ms": 1.0, "flags": "UH", "details": "why\x1b", "cluster": "up",
		"downstream": "192.0.2.1:5", "attempts": 2.0, "metadata": map[string]any{"who": "tom"},
		"request": map[string]any{
			"bytes": 3.0, "headers": map[string]any{"x-key": []any{"[redacted]"}, "a": []any{"1", "2"}},
		},
		"response": map[string]any{
			"bytes": 4.0, "headers": map[string]any{"set-cookie": []any{"[redacted]"}}, "trailers": map[string]any{"sum": []any{"9"}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the line (-want +got):\n%s", diff)
	}
}

// A connection that sent nothing that Envoy understood has few members, and is valid JSON.
func TestLoggerOfNothing(t *testing.T) {
	got := logged(t, "", accesslogtest.Entry{
		Event: accesslog.TCPConnectionEnd,
		Times: accesslog.Times{End: accesslog.NotReached, FirstDownstreamSent: accesslog.NotReached, LastUpstreamReply: accesslog.NotReached},
	})
	delete(got, "time")
	want := map[string]any{
		"event": "TcpConnectionEnd", "status": 0.0,
		"request":  map[string]any{"bytes": 0.0, "headers": map[string]any{}},
		"response": map[string]any{"bytes": 0.0, "headers": map[string]any{}, "trailers": map[string]any{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the line (-want +got):\n%s", diff)
	}
}

func BenchmarkLogger(b *testing.B) {
	l, err := accesslogtest.New[Logger](b, "output: "+filepath.Join(b.TempDir(), "access.log"))
	if err != nil {
		b.Fatalf("accesslogtest.New: %v", err)
	}
	e := accesslogtest.Entry{
		Event: accesslog.DownstreamEnd, Numbers: map[accesslog.NumberField]uint64{accesslog.ResponseCode: 200},
		RequestHeaders: [][2]string{{":method", "GET"}, {":path", "/"}, {"accept", "*/*"}},
	}
	b.ReportAllocs()
	for b.Loop() {
		e.Log(l)
	}
}
