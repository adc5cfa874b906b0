package jwtauth

import (
	"encoding/base64"
	"strings"
	"testing"

	"mosn.io/moe/framework/filtertest"
)

// TestPayloadHeader: the upstream sees all that the token says, also from the cache, and never what a client says in its place.
func TestPayloadHeader(t *testing.T) {
	j := inline(jwks(t, map[string]string{"k": "p256"}))
	j.PayloadHeader, j.CacheSize = "X-JWT-Payload", 10
	h := filtertest.New(t, j)
	token := sign(t, "p256", "ES256", "k", good(nil))
	_, rest, _ := strings.Cut(token, ".")
	want, _, _ := strings.Cut(rest, ".")
	for range 2 {
		r := h.Get("/", append(withToken(token), "x-jwt-payload", "forged")...)
		if r.Upstream == nil || strings.Join(r.Upstream.Header.Values("x-jwt-payload"), ",") != want {
			t.Errorf("got %d %v, want the payload %s", r.Status, r.Upstream, want)
		}
	}
	if _, err := base64.RawURLEncoding.DecodeString(want); err != nil {
		t.Errorf("the payload cannot be read: %v", err)
	}
	if got := j.OwnsRequestHeaders(); len(got) != 1 || got[0] != "x-jwt-payload" {
		t.Errorf("got the plugin's own headers %v, want x-jwt-payload", got)
	}
	bad := inline(jwks(t, map[string]string{"k": "p256"}))
	bad.PayloadHeader = ":path"
	if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), "payloadHeader") {
		t.Errorf("a pseudo-header: got %v, want an error", err)
	}
}

func TestClearRouteCache(t *testing.T) {
	j := inline(jwks(t, map[string]string{"k": "p256"}))
	j.ClearRouteCache = true
	h := filtertest.New(t, j)
	token := sign(t, "p256", "ES256", "k", good(nil))
	if r := h.Get("/", withToken(token)...); r.Status != 200 || r.RouteCleared != 1 {
		t.Errorf("got %d, route chosen again %d times, want 200 and once", r.Status, r.RouteCleared)
	}
	if r := h.Get("/"); r.RouteCleared != 0 {
		t.Error("the route is chosen again without a token")
	}
}
