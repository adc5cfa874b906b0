package plugins

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// tokens has the test user sign in for a client of the OpenID provider, and returns the opaque access token and the ID token.
func (b *bed) tokens(client, scope string) (access, id string) {
	b.Helper()
	const callback = "http://app.test/oidc/callback"
	back := b.consent(provider() + "/auth?" + url.Values{
		"client_id": {client}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {scope}, "state": {"s"},
	}.Encode())
	answer := b.askProvider("/oauth/token", client, url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {callback},
	})
	access, _ = answer["access_token"].(string)
	id, _ = answer["id_token"].(string)
	if access == "" || strings.Count(access, ".") == 2 || id == "" {
		b.Fatalf("the provider answers %v, want an opaque access token and an ID token", answer)
	}
	return access, id
}

// askProvider posts a form as a client of the OpenID provider and returns what it answers in JSON.
func (b *bed) askProvider(path, client string, form url.Values) m {
	b.Helper()
	q, err := http.NewRequest("POST", provider()+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.Fatalf("http.NewRequest: %v", err)
	}
	q.Header.Set("content-type", "application/x-www-form-urlencoded")
	q.SetBasicAuth(client, client+"-secret")
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		b.Fatalf("asking the provider: %v", err)
	}
	defer r.Body.Close()
	answer := m{}
	if r.ContentLength != 0 {
		if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
			b.Fatalf("the provider answers %s to %s: %v", r.Status, path, err)
		}
	}
	return answer
}

func init() {
	add("introspection: tokens of a provider", func(b *bed) {
		token, _ := b.tokens("web", "openid email")
		ln := b.listen(fmt.Sprintf(`
plugins:
- name: introspection
  config:
    endpoint: %s/oauth/introspect
    client: {id: web, secret: web-secret}
    requiredClaims: [{claim: scope, allOf: [email]}]
    claimsToHeaders: [{claim: email, header: x-user}]
    claimsToMetadata: [client_id]
    consumerClaim: sub
    cacheTTL: 300ms
- {name: headermutation, config: {request: {set: {x-client: "%%DYNAMIC_METADATA(moe.introspection:client_id)%%"}}}}
consumerHeader: x-who
consumers: [{name: tom, credentials: {introspection: {subject: id1}}}]`, provider()),
			route{"/body/", `plugins: [{name: introspection, config: {requiredClaims: [{claim: scope, allOf: [admin]}]}}]`},
			route{"/chunks/", `plugins: [{name: introspection, config: {client: {secret: wrong}}}]`})
		bearer := []string{"authorization", "Bearer " + token, "x-user", "root", "x-who", "root"}
		for range 2 { // the second time from the cache
			r := ln.get("/echo", bearer...)
			if r.Status != 200 {
				b.Fatalf("got %d %s, want 200", r.Status, r.Body)
			}
			seen := b.upstream(r).Header
			if got := []string{
				strings.Join(seen.Values("x-user"), ","), strings.Join(seen.Values("x-who"), ","), seen.Get("x-client"),
				seen.Get("authorization"),
			}; strings.Join(got, " ") != "test-user@zitadel.ch tom web " {
				b.Errorf("the upstream sees user, consumer, client and authorization %q, want test-user@zitadel.ch, tom, web and none", got)
			}
		}
		for _, c := range []struct {
			details string
			status  int
			path    string
			header  []string
		}{
			{"missing", 401, "/echo", nil},
			{"inactive", 401, "/echo", []string{"authorization", "Bearer x" + token}},
			{"malformed", 401, "/echo", []string{"authorization", "Bearer a, Bearer " + token}},
			{"claims", 403, "/body/x", bearer},
			{"no_answer", 503, "/chunks/1", bearer},
		} {
			b.Run(c.details, func() {
				r := ln.get(c.path, c.header...)
				if got := b.Access(r.ID)["details"]; r.Status != c.status || b.reached(r) || got != "moe.introspection."+c.details {
					b.Errorf("got %d %v, want %d moe.introspection.%s", r.Status, got, c.status, c.details)
				}
			})
		}
		b.askProvider("/revoke", "web", url.Values{"token": {token}, "token_type_hint": {"access_token"}})
		b.Poll(func() error {
			if r := ln.get("/echo", bearer...); r.Status != 401 {
				return fmt.Errorf("a revoked token: got %d, want 401", r.Status)
			}
			return nil
		})
		if log := b.HostLog().Since(0); strings.Contains(log, token) || strings.Contains(log, "web-secret") {
			b.Error("a token or a secret is in the log")
		}
	})
}
