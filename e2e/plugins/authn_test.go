package plugins

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"mosn.io/moe/e2e/client"
)

func basic(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }

// signed returns the headers of a request that is signed as RFC 9421 has it, with a body unless that is "".
func signed(ln *listener, method, path, body, key, secret string, created time.Time) []string {
	components := []string{"@method", "@authority", "@path"}
	values := []string{method, ln.Addr, path}
	var header []string
	if body != "" {
		sum := sha256.Sum256([]byte(body))
		digest := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
		components, values = append(components, "content-digest"), append(values, digest)
		header = append(header, "content-digest", digest)
	}
	var base strings.Builder
	for i, c := range components {
		fmt.Fprintf(&base, "%q: %s\n", c, values[i])
	}
	input := fmt.Sprintf(`("%s");created=%d;keyid="%s"`, strings.Join(components, `" "`), created.Unix(), key)
	base.WriteString(`"@signature-params": ` + input)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(base.String()))
	return append(header, "signature-input", "s="+input,
		"signature", "s=:"+base64.StdEncoding.EncodeToString(mac.Sum(nil))+":")
}

const (
	// The hash of "wonderland".
	wonderland = "$2a$05$TqywtIxZN847CXac/UQ9HOWJswMIVcusDLCLFCfMtUBv6CQOcU.P6"
	twoUsers   = `consumers: [{name: alice, credentials: {basicauth: {username: al, hash: "` + wonderland + `"},
		keyauth: {key: key-of-alice}, hmacauth: {accessKey: a1, secret: hush}}},
		{name: bob, credentials: {basicauth: {username: bob, password: b-pw}, keyauth: {key: key-of-bob}}}]`
)

func init() {
	add("basicauth: hashes, and a file", func(b *bed) {
		file := filepath.Join(b.TempDir(), "htpasswd")
		replace(b, file, "carol:"+wonderland+"\n")
		ln := b.listen(`{plugins: [{name: basicauth, config: {users: ` + strconv.Quote(file) + `, poll: 20ms}}],
			consumerHeader: x-user, ` + twoUsers + `}`)
		for _, c := range []struct{ auth, who string }{
			{basic("al:wonderland"), "alice"},
			{basic("al:wonderland"), "alice"},
			{basic("bob:b-pw"), "bob"},
			{basic("carol:wonderland"), "carol"},
			{basic("al:b-pw"), ""},
			{basic("nobody:b-pw"), ""},
			{basic("bob:"), ""},
			{"Basic %%%", ""},
			{"Bearer x", ""},
			{"", ""},
		} {
			r := ln.get("/echo", "authorization", c.auth)
			if c.who == "" {
				if r.Status != 401 || b.reached(r) || r.Header.Get("www-authenticate") == "" {
					b.Errorf("%s: %d", c.auth, r.Status)
				}
				continue
			}
			if r.Status != 200 {
				b.Errorf("%s: %d", c.auth, r.Status)
			} else if seen := b.upstream(r); seen.Header.Get("x-user") != c.who || seen.Header.Get("authorization") != "" {
				b.Errorf("the upstream sees %v", seen.Header)
			}
		}
		replace(b, file, "")
		ln.status(401, "/echo", "authorization", basic("carol:wonderland"))
		if log := b.HostLog().Since(0); strings.Contains(log, "wonderland") {
			b.Error("a password is in the log")
		}
	})

	add("hmacauth: signatures, replays and bodies", func(b *bed) {
		ln := b.listen(`{plugins: [{name: hmacauth}], consumerHeader: x-user, ` + twoUsers + `}`)
		now := time.Now()
		header := signed(ln, "GET", "/echo", "", "a1", "hush", now)
		r := ln.get("/echo", header...)
		if r.Status != 200 || b.upstream(r).Header.Get("x-user") != "alice" || b.upstream(r).Header.Get("signature") != "" {
			b.Fatalf("%d", r.Status)
		}
		body := signed(ln, "POST", "/echo", "hello", "a1", "hush", now)
		if r := ln.post("/echo", "hello", body...); r.Status != 200 || b.upstream(r).Body != "hello" {
			b.Errorf("with a body: %d", r.Status)
		}
		for what, r := range map[string]*client.Response{
			"again":         ln.get("/echo", header...),
			"another path":  ln.get("/body/x", signed(ln, "GET", "/echo", "", "a1", "hush", now.Add(-time.Second))...),
			"another key":   ln.get("/echo", signed(ln, "GET", "/echo", "", "a1", "husk", now)...),
			"nobody":        ln.get("/echo", signed(ln, "GET", "/echo", "", "a2", "hush", now)...),
			"late":          ln.get("/echo", signed(ln, "GET", "/echo", "", "a1", "hush", now.Add(-time.Hour))...),
			"early":         ln.get("/echo", signed(ln, "GET", "/echo", "", "a1", "hush", now.Add(time.Hour))...),
			"another body":  ln.post("/echo", "hellO", signed(ln, "POST", "/echo", "hello", "a1", "hush", now.Add(-time.Second))...),
			"unsigned body": ln.post("/echo", "hello", signed(ln, "POST", "/echo", "", "a1", "hush", now)...),
			"none":          ln.get("/echo"),
			"malformed":     ln.get("/echo", "signature-input", "s=(", "signature", "s=::"),
		} {
			if r.Status != 401 || b.reached(r) {
				b.Errorf("%s: %d", what, r.Status)
			}
		}
	})

	add("authentication: any, all, anonymous", func(b *bed) {
		const plugins = `plugins: [{name: keyauth}, {name: basicauth}, {name: anonymous, disabled: true}], consumerHeader: x-user, `
		ln := b.listen(`{`+plugins+twoUsers+`}`,
			route{"/body/", `{authentication: any}`},
			route{"/chunks/", `{authentication: any, plugins: [{name: anonymous, disabled: false}]}`})
		alice, bob := []string{"x-api-key", "key-of-alice"}, []string{"authorization", basic("bob:b-pw")}
		both := append([]string{"authorization", basic("al:wonderland")}, alice...)
		for _, c := range []struct {
			path   string
			header []string
			status int
			who    string
		}{
			{"/echo", both, 200, "alice"},
			{"/echo", alice, 401, ""},
			{"/echo", append(bob, alice...), 401, ""}, // two consumers
			{"/echo", nil, 401, ""},
			{"/body/x", alice, 200, "alice"},
			{"/body/x", bob, 200, "bob"},
			{"/body/x", nil, 401, ""},
			{"/body/x", append([]string{"x-api-key", "wrong"}, bob...), 401, ""},
			{"/chunks/1", nil, 200, "anonymous"},
			{"/chunks/1", bob, 200, "bob"},
			{"/chunks/1", []string{"x-api-key", "wrong"}, 401, ""},
		} {
			r := ln.get(c.path, c.header...)
			if r.Status != c.status && (c.status == 401 || r.Status == 401) || b.reached(r) != (c.status == 200) {
				b.Errorf("%s %v: %d, want %d", c.path, c.header, r.Status, c.status)
				continue
			}
			if c.status == 200 && b.upstream(r).Header.Get("x-user") != c.who {
				b.Errorf("%s %v: the upstream sees %v", c.path, c.header, b.upstream(r).Header)
			}
			if got := r.Header.Values("www-authenticate"); c.header == nil && c.status == 401 && len(got) != 2 {
				b.Errorf("%s: the challenges are %q", c.path, got)
			}
		}
	})
}
