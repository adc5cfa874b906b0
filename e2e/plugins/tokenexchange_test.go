package plugins

import (
	"fmt"
	"net/url"
	"strings"
)

func init() {
	add("tokenexchange: tokens of a provider", func(b *bed) {
		// The provider crashes over access tokens that are opaque, of which it expects claims.
		_, token := b.tokens("web", "openid email")
		const access = "urn:ietf:params:oauth:token-type:access_token"
		ln := b.listen(fmt.Sprintf(`
plugins:
- name: tokenexchange
  config:
    endpoint: %s/oauth/token
    client: {id: web, secret: web-secret}
    subjectTokenType: urn:ietf:params:oauth:token-type:id_token
    requestedTokenType: %s
    audiences: [web]
    scopes: [openid]
    header: x-internal
    scheme: ""`, provider(), access),
			route{"/body/", `plugins: [{name: tokenexchange, disabled: true}]`},
			route{"/chunks/", `plugins: [{name: tokenexchange, config: {client: {secret: wrong}}}]`})
		bearer := []string{"authorization", "Bearer " + token, "x-internal", "forged"}
		var first string
		for range 2 { // the second time from the cache
			r := ln.get("/echo", bearer...)
			if r.Status != 200 {
				b.Fatalf("got %d %s, want 200", r.Status, r.Body)
			}
			h := b.upstream(r).Header
			got := strings.Join(h.Values("x-internal"), ",")
			if got == "" || got == token || h.Get("authorization") != "" || first != "" && got != first {
				b.Fatalf("the upstream sees the tokens %q and %q, want a new one, and the same again", got, h.Get("authorization"))
			}
			first = got
		}
		if said := b.askProvider("/oauth/introspect", "web", url.Values{"token": {first}}); said["active"] != true || said["sub"] != "id1" {
			b.Errorf("the provider says of the new token %v, want it to be active and the user's", said)
		}
		for _, c := range []struct {
			details string
			status  int
			path    string
			header  []string
		}{
			{"missing", 401, "/echo", nil},
			{"malformed", 401, "/echo", []string{"authorization", "Bearer a b"}},
			{"refused", 401, "/echo", []string{"authorization", "Bearer " + token[:len(token)-9] + "AAAAAAAAA"}},
			{"no_answer", 503, "/chunks/1", bearer},
		} {
			b.Run(c.details, func() {
				r := ln.get(c.path, c.header...)
				if got := b.Access(r.ID)["details"]; r.Status != c.status || b.reached(r) || got != "moe.tokenexchange."+c.details {
					b.Errorf("got %d %v, want %d moe.tokenexchange.%s", r.Status, got, c.status, c.details)
				}
			})
		}
		r := ln.get("/body/x", bearer...)
		if h := b.upstream(r).Header; h.Get("x-internal") != "" {
			b.Errorf("where the plugin is disabled, the upstream sees the client's %q", h.Get("x-internal"))
		}
		if log := b.HostLog().Since(0); strings.Contains(log, first) || strings.Contains(log, "web-secret") {
			b.Error("a token or a secret is in the log")
		}
	})
}
