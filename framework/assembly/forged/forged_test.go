// Package forged tries to forge identities past the shipped plugins. It is a package of its own, so that the tests of package
// assembly have only the plugins that they register.
package forged

import (
	"encoding/base64"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
	_ "mosn.io/moe/plugins/anonymous"
	_ "mosn.io/moe/plugins/basicauth"
	_ "mosn.io/moe/plugins/headermutation"
	_ "mosn.io/moe/plugins/hmacauth"
	_ "mosn.io/moe/plugins/introspection"
	_ "mosn.io/moe/plugins/jwtauth"
	_ "mosn.io/moe/plugins/keyauth"
	_ "mosn.io/moe/plugins/ldapauth"
	_ "mosn.io/moe/plugins/mtlsauth"
	_ "mosn.io/moe/plugins/oidc"
	_ "mosn.io/moe/plugins/tokenauth"
)

// bareHost offers a configuration nothing but a name.
type bareHost struct{}

func (bareHost) Name() string         { return "forged" }
func (bareHost) Capabilities() uint32 { return ^uint32(0) }
func (bareHost) Log() slog.Handler    { return slog.DiscardHandler }
func (bareHost) Transport(string) (http.RoundTripper, error) {
	return nil, filter.ErrUnsupported
}

// bareStream has nothing but the subject of the client's certificate.
type bareStream struct{ subject string }

func (s bareStream) Attribute(name string) (string, error) {
	if name == string(filter.AttrPeerSubject) && s.subject != "" {
		return s.subject, nil
	}
	return "", core.ErrNotFound
}

func (bareStream) Metadata(_, _ string) (any, error)      { return nil, core.ErrUnsupported }
func (bareStream) SetMetadata(_, _ string, _ any) error   { return core.ErrUnsupported }
func (bareStream) FilterState(string) (string, error)     { return "", core.ErrUnsupported }
func (bareStream) SetFilterState(_, _ string) error       { return core.ErrUnsupported }
func (bareStream) ClearRouteCache() error                 { return core.ErrUnsupported }
func (bareStream) SetUpstreamHost(_ string, _ bool) error { return core.ErrUnsupported }
func (bareStream) Secret(string) (string, error)          { return "", core.ErrUnsupported }
func (bareStream) Fetch(int) []core.Field                 { return nil }
func (bareStream) BufferLimit() int                       { return 0 }
func (bareStream) Escaped()                               {}

// verdict notes whether the request goes on, is answered, or waits for a goroutine.
type verdict struct {
	ends  chan bool // whether the request goes on
	posts chan func()
}

func (v *verdict) Headers(dir core.Direction, _ bool) { v.ends <- dir == core.Request }
func (v *verdict) Data(core.Direction, []byte, bool)  {}
func (v *verdict) Trailers(core.Direction)            {}
func (v *verdict) Reset(string)                       { v.ends <- false }
func (v *verdict) Post(f func())                      { v.posts <- f }

// scheme is a plugin that authenticates, and the fields of a request that it lets pass.
type scheme struct {
	name, entry string
	credential  func() []core.Field
}

func allSchemes() []scheme {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:open sesame"))
	always := func(name, value string) func() []core.Field {
		return func() []core.Field { return []core.Field{{Name: name, Value: value}} }
	}
	return []scheme{
		{name: "keyauth", entry: `{name: keyauth}`, credential: always("x-api-key", "a-key-that-is-long-enough")},
		{name: "basicauth", entry: `{name: basicauth}`, credential: always("authorization", basic)},
		{
			name: "jwtauth", entry: `{name: jwtauth, config: {providers: [{issuer: i, keys: {secret: ` + secret + `}}],
				claimsToHeaders: [{claim: sub, header: X-User}]}}`,
			credential: always("authorization", "Bearer "+token()),
		},
		{name: "tokenauth", entry: `{name: tokenauth, config: {secret: ` + secret + `}}`, credential: always("token", pathToken())},
		{name: "hmacauth", entry: `{name: hmacauth}`, credential: signature},
		{
			name: "oidc", entry: `{name: oidc, config: {issuer: 'https://idp.invalid', clientID: me, redirect: 'https://a.example/cb',
				cookieSecrets: [` + secret + `], forwardAccessToken: true,
				claimsToHeaders: [{claim: sub, header: x-user}, {claim: email, header: x-mail}]}}`,
			credential: always("cookie", "__Host-oidc="+session("https://idp.invalid", "me")),
		},
		{name: "mtlsauth", entry: `{name: mtlsauth}`, credential: always(certificate, "CN=alice")},
		{
			name: "ldapauth", entry: `{name: ldapauth, config: {url: '` + directory() + `', userDN: 'uid={username},dc=a',
				claimsToHeaders: [{claim: mail, header: X-User}]}}`,
			credential: always("authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("alice:open sesame"))),
		},
		{
			name: "introspection", entry: `{name: introspection, config: {endpoint: '` + introspect() + `', client: {id: me, secret: s},
				from: {headers: [{name: x-opaque}]}, claimsToHeaders: [{claim: sub, header: X-User}]}}`,
			credential: always("x-opaque", opaque),
		},
	}
}

const aliceAndBob = `consumers: [
	{name: alice, credentials: {keyauth: {key: a-key-that-is-long-enough}, basicauth: {username: alice, password: open sesame},
			hmacauth: {accessKey: alice, secret: ` + secret + `}, mtlsauth: {subject: "CN=alice"}},
		plugins: [{name: headermutation, config: {request: {set: {x-tier: gold}}}}]},
	{name: bob}]`

// TestNobodyForgesIdentity sends requests that claim to be somebody through chains of the plugins that authenticate: two
// of them in every order and three in every seventh, with one and with all required, with and without anonymous, each disabled on a route in
// turn, with every credential that one of them takes and with none. What the upstream would take for the caller's identity
// is never what the client wrote.
func TestNobodyForgesIdentity(t *testing.T) {
	schemes := allSchemes()
	requests, passed, let := 0, 0, map[string]int{}
	for n, order := range orders(schemes, 3) {
		if len(order) > 2 && n%7 != 0 {
			continue // TestRandomForgeries has longer ones, too
		}
		if !slices.ContainsFunc(order, ownsUser) {
			continue // nobody owns a header
		}
		for mode := range 4 {
			text := chainText(order, mode&1 == 1, mode&2 == 2)
			raw, err := config.Parse([]byte(text))
			if err != nil {
				t.Fatalf("Parse of %s: %v", text, err)
			}
			a := assembly.New(bareHost{})
			f, err := a.Filter(assembly.ChainName, raw)
			if err != nil {
				t.Fatalf("Filter of %s: %v", text, err)
			}
			for disabled := -1; disabled < len(order); disabled++ {
				var r *assembly.Route
				what := text
				if disabled >= 0 {
					what += "\nwithout " + order[disabled].name
					entry := map[string]any{"id": order[disabled].name, "disabled": true}
					if r, err = a.Route(assembly.ChainName, map[string]any{"plugins": []any{entry}}); err != nil {
						t.Fatalf("Route without %s: %v", order[disabled].name, err)
					}
				}
				for _, s := range append([]scheme{{name: "nobody"}}, schemes...) {
					requests++
					var credentials []core.Field
					if s.credential != nil {
						credentials = s.credential()
					}
					if forge(t, f, r, credentials, func() string { return what + "\nwith the credential of " + s.name }, order) {
						passed++
						let[s.name]++
					}
				}
				if r != nil {
					r.Close()
				}
			}
			f.Close()
		}
	}
	t.Logf("%d requests, of which %d passed", requests, passed)
	if requests < 5000 || passed < 1000 {
		t.Errorf("got %d requests of which %d passed, want at least 5000 and 1000", requests, passed)
	}
	for _, s := range schemes {
		if let[s.name] <= let["nobody"] {
			t.Errorf("the credential of %s: %d requests passed, and %d without any; want more", s.name, let[s.name], let["nobody"])
		}
	}
}

// orders returns every order of two to most of list.
func orders(list []scheme, most int) (all [][]scheme) {
	var walk func(done, rest []scheme)
	walk = func(done, rest []scheme) {
		if len(done) >= 2 {
			all = append(all, slices.Clone(done))
		}
		if len(done) == most {
			return
		}
		for i := range rest {
			walk(append(slices.Clone(done), rest[i]), slices.Concat(rest[:i], rest[i+1:]))
		}
	}
	walk(nil, list)
	return all
}

// ownsUser reports whether a scheme tells the upstream by x-user who the caller is.
func ownsUser(s scheme) bool { return strings.Contains(strings.ToLower(s.entry), "header: x-user") }

func chainText(order []scheme, anyScheme, anonymous bool) string {
	var entries []string
	for _, s := range order {
		entries = append(entries, s.entry)
	}
	if anonymous {
		entries = append(entries, `{name: anonymous}`)
	}
	authentication := "all"
	if anyScheme {
		authentication = "any"
	}
	return "plugins: [" + strings.Join(entries, ",\n") + "]\nauthentication: " + authentication +
		"\nconsumerHeader: X-Who\n" + aliceAndBob
}

// forge sends one request and reports whether it goes on.
func forge(t *testing.T, f *assembly.Filter, r *assembly.Route, credentials []core.Field, what func() string, order []scheme) bool {
	t.Helper()
	c, err := f.Chain(r)
	if err != nil {
		t.Fatalf("%s: Chain: %v", what(), err)
	}
	v := &verdict{ends: make(chan bool, 8), posts: make(chan func(), 8)}
	client := bareStream{}
	credentials = slices.DeleteFunc(slices.Clone(credentials), func(f core.Field) bool {
		if f.Name == certificate {
			client.subject = f.Value
		}
		return f.Name == certificate
	})
	st := c.Start(client, v)
	defer st.Done()
	b := &st.H[core.RequestHeaders]
	b.Fields = append(b.Fields, core.Field{Name: ":method", Value: "GET"}, core.Field{Name: ":path", Value: "/"},
		core.Field{Name: ":authority", Value: "a.example"}, core.Field{Name: ":scheme", Value: "https"})
	for _, name := range []string{"x-user", "x_user", "x-mail", "x-who", "x-moe-consumer"} {
		b.Fields = append(b.Fields, core.Field{Name: name, Value: "forged"})
	}
	b.Fields = append(b.Fields, credentials...)
	if !slices.ContainsFunc(credentials, func(f core.Field) bool { return f.Name == "authorization" }) {
		// A scheme that nobody takes, so that it counts neither as a wrong credential nor as a right one.
		b.Fields = append(b.Fields, core.Field{Name: "authorization", Value: "Forged identity"})
	}
	b.Present = true
	st.Headers(core.Request, true)
	ended := func(passes bool) bool {
		if passes {
			checkIdentity(t, b.Fields, what, order)
		}
		return passes
	}
	for {
		select {
		case passes := <-v.ends: // mostly at once
			return ended(passes)
		default:
		}
		select {
		case post := <-v.posts:
			post()
		case passes := <-v.ends:
			return ended(passes)
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: no answer in 20 s", what())
		}
	}
}

func checkIdentity(t *testing.T, fields []core.Field, what func() string, order []scheme) {
	t.Helper()
	owns := func(header string) bool {
		return slices.ContainsFunc(order, func(s scheme) bool {
			return header == "x-user" && ownsUser(s) || s.name == "oidc"
		})
	}
	for _, h := range fields {
		name := strings.ReplaceAll(h.Name, "_", "-")
		switch {
		case h.Value == "forged" && (name == "x-who" || name == "x-moe-consumer" || owns(name)):
			t.Errorf("%s:\nthe upstream got the client's %s", what(), h.Name)
		case h.Value == "Forged identity" && owns("authorization") && slices.ContainsFunc(order, func(s scheme) bool { return s.name == "oidc" }):
			t.Errorf("%s:\nthe upstream got the client's authorization", what())
		}
	}
}
