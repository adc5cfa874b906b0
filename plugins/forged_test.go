package plugins

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

const jwtSecret = "0123456789abcdef0123456789abcdef"

// hs256 makes a token.
func hs256(claims string) string {
	enc := base64.RawURLEncoding.EncodeToString
	text := enc([]byte(`{"alg":"HS256"}`)) + "." + enc([]byte(claims))
	mac := hmac.New(sha256.New, []byte(jwtSecret))
	mac.Write([]byte(text))
	return text + "." + enc(mac.Sum(nil))
}

// schemes are plugins that authenticate, and the headers of a request that they let pass.
var schemes = []struct {
	config filtertest.Config
	header func() []string
}{
	{filtertest.Config{Name: "keyauth", JSON: `{}`}, func() []string { return []string{"x-api-key", "k"} }},
	{filtertest.Config{Name: "basicauth", JSON: `{}`}, func() []string {
		return []string{"authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("a:b"))}
	}},
	{
		filtertest.Config{Name: "jwtauth", JSON: `{providers: [{issuer: i, keys: {secret: ` + jwtSecret + `}}],
			from: {headers: [{name: x-jwt}]}, claimsToHeaders: [{claim: sub, header: x-user}, {claim: role, header: X-Role}]}`},
		func() []string {
			return []string{"x-jwt", hs256(fmt.Sprintf(`{"iss":"i","sub":"alice","exp":%d}`, time.Now().Unix()+600))}
		},
	},
	{
		filtertest.Config{Name: "oidc", JSON: `{` + client + `, forwardAccessToken: true,
			claimsToHeaders: [{claim: email, header: x-email}]}`}, func() []string { return nil },
	},
	{filtertest.Config{Name: "anonymous", JSON: `{consumer: guest}`}, func() []string { return nil }},
}

// FuzzForgedIdentity: with every choice of plugins that authenticate, in every order, with one or all that must let pass,
// and whatever credentials a request has, the upstream sees no header of the client's that a plugin owns.
func FuzzForgedIdentity(f *testing.F) {
	for order := range 24 {
		f.Add([]byte{byte(order), byte(order / 2), byte(order / 3), byte(order / 5), byte(order)}, uint8(order*11), order%2 == 0)
	}
	f.Fuzz(func(t *testing.T, order []byte, credentials uint8, one bool) {
		var chosen []any
		used := map[int]bool{}
		names := []string{}
		for _, o := range order {
			i := int(o) % len(schemes)
			if used[i] {
				continue
			}
			used[i] = true
			chosen, names = append(chosen, schemes[i].config), append(names, schemes[i].config.Name)
		}
		if len(chosen) == 0 {
			return
		}
		h := &filtertest.Host{AnyScheme: one, ConsumerHeader: "x-who", Consumers: []*filter.Consumer{{
			Name: "alice", Credentials: map[string]map[string]any{
				"keyauth": {"key": "k"}, "basicauth": {"username": "a", "password": "b"},
			},
		}}}
		if err := h.Load(t, chosen...); err != nil {
			t.Fatalf("loading %v: %v", names, err)
		}
		header := []string{"x-user", "root", "X_User", "root", "x-role", "root", "x-email", "root", "x-who", "root"}
		bearer := credentials&0x80 != 0
		if bearer {
			header = append(header, "authorization", "Bearer root")
		}
		for i := range schemes {
			if credentials&(1<<i) != 0 && !(bearer && schemes[i].config.Name == "basicauth") {
				header = append(header, schemes[i].header()...)
			}
		}
		r := h.Get("/", header...)
		if r.Upstream == nil {
			return
		}
		owned := map[string]bool{"x-who": true}
		if used[2] {
			owned["x-user"], owned["x-role"] = true, true
		}
		if used[3] {
			owned["x-email"] = true
			if bearer && !used[1] {
				owned["authorization"] = true
			}
		}
		for name, values := range r.Upstream.Header {
			plain := strings.ReplaceAll(strings.ToLower(name), "_", "-")
			if owned[plain] && strings.Contains(strings.Join(values, " "), "root") {
				t.Errorf("%v, any: %v, credentials %b: the upstream sees %s: %q", names, one, credentials, name, values)
			}
		}
	})
}
