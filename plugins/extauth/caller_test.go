package extauth

import (
	"encoding/hex"
	"net/http"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/claims"
)

// teller has the upstream see the request's caller.
type teller struct{}

func init() { filter.Register[teller]("extauth-teller", filter.Traffic) }

func (*teller) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	caller, _ := claims.Caller.Get(s)
	h.Set("x-caller", hex.EncodeToString([]byte(caller)))
	return filter.Continue
}

// TestCaller: requests from which the service has taken different credentials, or whose user it says are different, have different
// callers, so that a cache keeps their responses apart.
func TestCaller(t *testing.T) {
	overHTTP := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/taken" {
			w.Header().Set(toRemove, "authorization")
		}
		if r.URL.Path == "/told" {
			w.Header().Set("x-user", r.Header.Get("authorization"))
			w.Header().Set("x-role", "a")
		}
	})
	overGRPC := serveGRPC(t, nil)
	overGRPC.answer = func(n int) (*authv3.CheckResponse, error) {
		q := overGRPC.questions()[n-1].Attributes.Request.Http
		ok := &authv3.OkHttpResponse{}
		switch q.Path {
		case "/taken":
			ok.HeadersToRemove = []string{"authorization"}
		case "/told":
			ok.Headers = []*corev3.HeaderValueOption{header("x-user", q.Headers["authorization"]), header("x-role", "a")}
		}
		return allow(ok), nil
	}
	for protocol, config := range map[string]string{
		"http": "url: " + overHTTP.URL + "\ntimeout: 20s\nupstream: [x-user, x-role]",
		"grpc": "url: grpc://" + overGRPC.addr + "\ntimeout: 20s",
	} {
		t.Run(protocol, func(t *testing.T) {
			h := &filtertest.Host{}
			if err := h.Load(t, filtertest.Config{Name: "extauth", JSON: config}, filtertest.Config{Name: "extauth-teller"}); err != nil {
				t.Fatalf("h.Load: %v", err)
			}
			for _, c := range []struct {
				name, path string
				known      bool
			}{
				{name: "the credential is taken off", path: "/taken", known: true},
				{name: "the service names the user", path: "/told", known: true},
				{name: "nothing is changed", path: "/left"},
			} {
				t.Run(c.name, func(t *testing.T) {
					caller := func(token string) string {
						r := h.Get(c.path, "authorization", token)
						if r.Upstream == nil {
							t.Fatalf("got %d %s, want the request to pass; the log:\n%s", r.Status, r.Details, h.Log())
						}
						return r.Upstream.Header.Get("x-caller")
					}
					a, again, b := caller("Bearer a"), caller("Bearer a"), caller("Bearer b")
					if a != again || (a != "") != c.known || (a != b) != c.known {
						t.Errorf("the callers are %q, again %q, and of another token %q; want them known and apart: %v", a, again, b, c.known)
					}
				})
			}
		})
	}
}
