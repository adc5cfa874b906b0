package mosn

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
	"mosn.io/api"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/pkg/variable"
)

func init() {
	api.RegisterStream("path_reader", func(map[string]any) (api.StreamFilterChainFactory, error) {
		return pathReader{}, nil
	})
}

// pathReader writes the variables that hold a path into headers.
type pathReader struct {
	api.StreamReceiverFilterHandler
}

func (r pathReader) CreateFilterChain(_ context.Context, callbacks api.StreamFilterChainFactoryCallbacks) {
	callbacks.AddStreamReceiverFilter(&r, api.BeforeRoute)
}

func (r *pathReader) SetReceiveFilterHandler(h api.StreamReceiverFilterHandler) {
	r.StreamReceiverFilterHandler = h
}

func (r *pathReader) OnDestroy() {}

var pathVariables = []string{"x-mosn-path", "Http1_request_path", "Http2_request_path"}

func (r *pathReader) OnReceive(
	ctx context.Context, headers api.HeaderMap, _ api.IoBuffer, _ api.HeaderMap,
) api.StreamFilterStatus {
	for _, name := range pathVariables {
		if v, err := variable.GetString(ctx, name); err == nil {
			headers.Set(strings.ReplaceAll(name, "_", "-"), v)
		}
	}
	return api.StreamFilterContinue
}

// get sends a path that net/url may refuse.
func get(h *filtertest.Host, path string) *filtertest.Response {
	r := filtertest.NewRequest("GET", "/", "")
	if u, err := url.ParseRequestURI(path); err == nil {
		r.URL = u
	} else {
		r.URL = &url.URL{Opaque: path}
	}
	return h.Do(r)
}

// TestPathIsFasthttps holds the paths that filters get against those of fasthttp's URI, which MOSN gives its filters: every
// path of up to four of the pieces that matter.
func TestPathIsFasthttps(t *testing.T) {
	h := filtertest.New(t, filtertest.Config{Name: "mosn", JSON: `{"stream_filters": [{"type": "path_reader"}]}`})
	pieces := []string{"/", "/.", "/..", "/a", "%2F..", "%2e", "%41", "%zz"}
	paths := []string{"/"}
	for begin, length := 0, 1; length <= 4; length++ {
		end := len(paths)
		for _, path := range paths[begin:end] {
			for _, piece := range pieces {
				paths = append(paths, path+piece)
			}
		}
		begin = end
	}
	for _, path := range paths {
		if strings.HasPrefix(path, "//") && strings.Contains(path, "%zz") {
			continue // net/url has no way to write it
		}
		r := get(h, path)
		if r.Upstream.RequestURI != path {
			t.Fatalf("%q was sent as %q", path, r.Upstream.RequestURI)
		}
		var u fasthttp.URI
		if err := u.Parse([]byte("shop.example"), []byte(path)); err != nil {
			t.Fatalf("fasthttp does not take %q: %v", path, err)
		}
		for _, name := range pathVariables {
			got := r.Upstream.Header.Get(strings.ReplaceAll(name, "_", "-"))
			if want := string(u.Path()); got != want {
				t.Errorf("%s of %q is %q, want %q", name, path, got, want)
			}
		}
	}
}

// TestJWTByPath has MOSN's jwt_authn ask for a token however the path is written.
func TestJWTByPath(t *testing.T) {
	h := filtertest.New(t, filtertest.Config{Name: "mosn", JSON: `{"stream_filters": [{"type": "jwt_authn", "config": {
		"providers": {"p": {"issuer": "https://issuer.example", "localJwks": {"inlineString": "{\"keys\": []}"}}},
		"rules": [{"match": {"prefix": "/admin"}, "requires": {"providerName": "p"}}]}}]}`})
	for path, want := range map[string]int{
		"/admin": 401, "//admin": 401, "/./admin": 401, "/public/../admin": 401, "/%61dmin": 401, "/%2Fadmin": 401,
		"/public%2f%2e%2e/admin": 401, "/%61dmin/%zz": 401, "/public": 200, "/admin/../public": 200, "/%2561dmin": 200,
	} {
		t.Run(path, func(t *testing.T) {
			if got := get(h, path).Status; got != want {
				t.Errorf("the status is %d, want %d", got, want)
			}
		})
	}
}
