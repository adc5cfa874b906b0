package nethttp_test

import (
	"net/http"
	"testing"

	"mosn.io/moe/framework/filtertest"
)

// What a middleware costs that does nothing, beside a host that runs no plugin at all.
func BenchmarkMiddleware(b *testing.B) {
	for name, h := range map[string]*filtertest.Host{
		"pass": filtertest.New(b, handler(pass)),
		"own": filtertest.New(b, handler(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.WriteHeader(http.StatusNoContent)
		})),
		"none": filtertest.New(b),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.Get("/")
			}
		})
	}
}
