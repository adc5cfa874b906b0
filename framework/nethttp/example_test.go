package nethttp_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/framework/nethttp"
)

// CORS lets browsers of some origins in. The struct is the plugin's configuration, Wrap is ordinary net/http.
type CORS struct {
	// Origins are the origins whose pages may read responses.
	Origins []string `json:"origins"`
}

func (c *CORS) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		if origin := r.Header.Get("Origin"); slices.Contains(c.Origins, origin) {
			w.Header().Set("Access-Control-Allow-Origin", origin)
		}
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func init() { nethttp.Register[CORS]("cors-example", filter.Access) }

func Example() {
	h := filtertest.New(&testing.T{}, &CORS{Origins: []string{"https://a.example"}})
	r := h.Get("/", "origin", "https://a.example")
	fmt.Println(r.Status, r.Header.Get("access-control-allow-origin"))
	// Output: 200 https://a.example
}
