// Package plugintest helps the tests of the plugins with what filtertest leaves to them: benchmarks of one phase, and
// plugins of a test's own.
package plugintest

import (
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// Probe is a plugin whose phases are functions of the test. It is the last of its chain.
type Probe struct {
	Request  func(s filter.Stream, h filter.RequestHeaders)  `json:"-"`
	Response func(s filter.Stream, h filter.ResponseHeaders) `json:"-"`
}

func init() { filter.Register[Probe]("probe", filter.Observe) }

// OnRequestHeaders calls Request.
func (p *Probe) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	if p.Request != nil {
		p.Request(s, h)
	}
	return filter.Continue
}

// OnResponseHeaders calls Response.
func (p *Probe) OnResponseHeaders(s filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	if p.Response != nil {
		p.Response(s, h)
	}
	return filter.Continue
}

// Browser is the header of an ordinary request, as name, value, ….
var Browser = []string{
	"accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
	"accept-encoding", "gzip, deflate, br", "accept-language", "en-GB,en;q=0.5", "cookie", "session=0123456789abcdef",
	"user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
	"x-forwarded-for", "192.0.2.7", "x-forwarded-proto", "https", "x-request-id", "8d1f5f4e-7a0c-4a57-9e63-3f0c3e0a2b11",
}

// BenchRequest measures f with the headers of one live request of a browser, which also has the fields extra.
func BenchRequest(b *testing.B, f func(s filter.Stream, h filter.RequestHeaders), extra ...string) {
	h := filtertest.New(b, &Probe{Request: func(s filter.Stream, h filter.RequestHeaders) {
		b.ReportAllocs()
		for b.Loop() {
			f(s, h)
		}
	}})
	h.Get("/a/path?with=a+query", append(extra, Browser...)...)
}

// BenchResponse measures f with the headers of one live response.
func BenchResponse(b *testing.B, f func(s filter.Stream, h filter.ResponseHeaders)) {
	h := filtertest.New(b, &Probe{Response: func(s filter.Stream, h filter.ResponseHeaders) {
		b.ReportAllocs()
		for b.Loop() {
			f(s, h)
		}
	}})
	h.Get("/a/path?with=a+query", Browser...)
}
