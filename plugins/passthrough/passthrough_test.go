package passthrough

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

func TestPassthrough(t *testing.T) {
	for chunk := range 4 {
		h := filtertest.New(t, &Passthrough{})
		h.Chunk = chunk
		h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("trailer", "x-sum")
			w.Header().Set("x-seen", r.Header.Get("x-sent"))
			w.WriteHeader(201)
			io.Copy(w, r.Body)
			w.Header().Set("x-sum", "5")
		})
		req := httptest.NewRequest("POST", "/", strings.NewReader("hello"))
		req.Header.Set("x-sent", "1")
		r := h.Do(req)
		if r.Status != 201 || r.Body != "hello" || r.Sent != "hello" || r.Header.Get("x-seen") != "1" ||
			r.Trailer.Get("x-sum") != "5" {
			t.Errorf("chunks of %d: %+v", chunk, r)
		}
	}
}

// Every phase that framework/filter knows is one that this plugin has.
func TestEveryPhase(t *testing.T) {
	p := reflect.TypeFor[*Passthrough]()
	for _, phase := range []reflect.Type{
		reflect.TypeFor[filter.RequestHeadersHandler](), reflect.TypeFor[filter.RequestBodyHandler](),
		reflect.TypeFor[filter.RequestTrailersHandler](), reflect.TypeFor[filter.RequestHandler](),
		reflect.TypeFor[filter.ResponseHeadersHandler](), reflect.TypeFor[filter.ResponseBodyHandler](),
		reflect.TypeFor[filter.ResponseTrailersHandler](), reflect.TypeFor[filter.ResponseHandler](),
		reflect.TypeFor[filter.CompleteHandler](),
	} {
		t.Run(fmt.Sprint(phase), func(t *testing.T) {
			if !p.Implements(phase) {
				t.Errorf("%v is missing", phase)
			}
		})
	}
}
