package waf

import (
	"strings"
	"testing"

	"mosn.io/moe/plugins/internal/plugintest"
)

// BenchmarkRequest inspects a GET, and a POST of a form of 10 KiB, with the Core Rule Set at paranoia 1: by the engine
// alone, by the plugin in a host, and, to be subtracted from that, in the host without it.
func BenchmarkRequest(b *testing.B) {
	field := "field=" + strings.Repeat("some+harmless+words+", 10)
	form10 := strings.Repeat(field+"&", 10<<10/len(field)) + "last=1"
	for _, c := range []struct{ name, body string }{{"GET", ""}, {"POST", form10}} {
		b.Run(c.name, func(b *testing.B) {
			b.Run("engine", func(b *testing.B) { benchEngine(b, c.body) })
			b.Run("plugin", func(b *testing.B) {
				plugintest.BenchPost(b, c.body, form, &WAF{InboundThreshold: 10000, Log: "none"})
			})
			b.Run("host", func(b *testing.B) { plugintest.BenchPost(b, c.body, form, &plugintest.Collect{}) })
		})
	}
}

func benchEngine(b *testing.B, body string) {
	p := &WAF{Paranoia: 1, InboundThreshold: 10000, OutboundThreshold: 4}
	p.RequestBody.Limit, p.Response.Limit = 128<<10, 512<<10
	l, err := acquire(p.program(), nil)
	if err != nil {
		b.Fatalf("acquire: %v", err)
	}
	b.Cleanup(func() { _ = l.release() })
	method, header := "GET", plugintest.Browser
	if body != "" {
		method, header = "POST", append([]string{"content-type", form}, header...)
	}
	b.ReportAllocs()
	for b.Loop() {
		tx := l.begin("")
		tx.ProcessConnection("192.0.2.1", 40000, "192.0.2.2", 80)
		tx.ProcessURI("/a/path?with=a+query", method, "HTTP/1.1")
		for i := 0; i < len(header); i += 2 {
			tx.AddRequestHeader(header[i], header[i+1])
		}
		tx.AddRequestHeader("Host", "example.com")
		it := tx.ProcessRequestHeaders()
		if it == nil && body != "" {
			it, _, _ = tx.WriteRequestBody([]byte(body))
		}
		if it == nil {
			it, _ = tx.ProcessRequestBody()
		}
		if it != nil {
			b.Fatalf("rule %d refuses the request, want that it passes", it.RuleID)
		}
		tx.ProcessLogging()
		if err := tx.Close(); err != nil {
			b.Fatalf("Close: %v", err)
		}
	}
}
