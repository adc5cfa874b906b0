package tokenauth

import (
	"crypto/md5"
	"encoding/hex"
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/plugintest"
)

func config() *TokenAuth { return &TokenAuth{Secret: filter.NewSecret("secret"), Header: "token"} }

func hash(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

func TestTokenAuth(t *testing.T) {
	long := "/" + strings.Repeat("x", 5000)
	for _, c := range []struct {
		name, path string
		header     []string
		status     int
		body       string
	}{
		{name: "no token", path: "/", status: 403, body: "missing token"},
		{
			name: "another header", path: "/", header: []string{"x-token", "c64319d06364528120a9f96af62ea83d"}, status: 403,
			body: "missing token",
		},
		{name: "wrong", path: "/", header: []string{"token", "bad"}, status: 403, body: "invalid token"},
		{name: "empty", path: "/", header: []string{"token", ""}, status: 403, body: "invalid token"},
		{name: "right", path: "/", header: []string{"token", "c64319d06364528120a9f96af62ea83d"}, status: 200},
		{name: "name in capitals", path: "/", header: []string{"Token", "c64319d06364528120a9f96af62ea83d"}, status: 200},
		{
			name: "value in capitals", path: "/", header: []string{"token", "C64319D06364528120A9F96AF62EA83D"}, status: 403,
			body: "invalid token",
		},
		{
			name: "right, then wrong", path: "/", header: []string{"token", "c64319d06364528120a9f96af62ea83d", "token", "bad"},
			status: 403, body: "invalid token",
		},
		{
			name: "wrong, then right", path: "/", header: []string{"token", "bad", "token", "c64319d06364528120a9f96af62ea83d"},
			status: 403, body: "invalid token",
		},
		{
			name: "right twice", path: "/",
			header: []string{"token", "c64319d06364528120a9f96af62ea83d", "token", "c64319d06364528120a9f96af62ea83d"},
			status: 403, body: "invalid token",
		},
		{
			name: "right twice in one field", path: "/",
			header: []string{"token", "c64319d06364528120a9f96af62ea83d,c64319d06364528120a9f96af62ea83d"}, status: 403,
			body: "invalid token",
		},
		{
			name: "of another path", path: "/a", header: []string{"token", "c64319d06364528120a9f96af62ea83d"}, status: 403,
			body: "invalid token",
		},
		{
			name: "too long", path: "/", header: []string{"token", "c64319d06364528120a9f96af62ea83d0"}, status: 403,
			body: "invalid token",
		},
		{
			name: "of the path without the query", path: "/a?b=c", header: []string{"token", hash("/asecret")}, status: 403,
			body: "invalid token",
		},
		{name: "of the path with the query", path: "/a?b=c", header: []string{"token", hash("/a?b=csecret")}, status: 200},
		{name: "long path", path: long, header: []string{"token", hash(long + "secret")}, status: 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := filtertest.New(t, config()).Get(c.path, c.header...)
			if r.Status != c.status || r.Body != c.body {
				t.Errorf("got %d %q, want %d %q", r.Status, r.Body, c.status, c.body)
			}
			if reached := r.Upstream != nil; reached != (c.status == 200) {
				t.Errorf("reached the upstream: %v", reached)
			}
		})
	}
}

func TestHeader(t *testing.T) {
	h := filtertest.New(t, &TokenAuth{Secret: filter.NewSecret("secret"), Header: "X-Sign"})
	if r := h.Get("/", "x-sign", "c64319d06364528120a9f96af62ea83d"); r.Status != 200 {
		t.Errorf("r.Status = %d, want 200: %q", r.Status, r.Body)
	}
	if r := h.Get("/", "token", "c64319d06364528120a9f96af62ea83d"); r.Body != "missing token" {
		t.Errorf("%d: r.Body = %q, want %q", r.Status, r.Body, "missing token")
	}
}

// As the operator writes it, with defaults.
func TestConfiguration(t *testing.T) {
	h := filtertest.New(t, filtertest.Config{Name: "tokenauth", JSON: `{"secret":"secret"}`})
	if r := h.Get("/", "token", "c64319d06364528120a9f96af62ea83d"); r.Status != 200 {
		t.Errorf("r.Status = %d, want 200: %q", r.Status, r.Body)
	}
	if r := h.GRPC("/a.Service/Method", "", "token", "bad"); r.GRPCStatus != 7 || r.GRPCMessage != "invalid token" {
		t.Errorf("r.GRPCStatus = %d, want 7; r.GRPCMessage = %q, want %q", r.GRPCStatus, r.GRPCMessage, "invalid token")
	}
	for conf, want := range map[string]string{
		`{}`: "secret", `{"secret":""}`: "secret", `{"secret":"geheim","header":1}`: "header", `{"secret":{"env":"NOT_SET"}}`: "NOT_SET",
		`{"secret":"geheim","x":1}`: "x",
	} {
		t.Run(conf, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, filtertest.Config{Name: "tokenauth", JSON: conf})
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") {
				t.Errorf("%s: got %v, want an error with %q and no secret", conf, err, want)
			}
		})
	}
}

func TestCounters(t *testing.T) {
	p := config()
	h := filtertest.New(t, p)
	h.Get("/")
	h.Get("/", "token", "bad")
	h.Get("/", "token", "bad")
	h.Get("/", "token", "c64319d06364528120a9f96af62ea83d")
	if filtertest.Value(p.missing) != 1 || filtertest.Value(p.invalid) != 2 {
		t.Errorf("missing %d, invalid %d", filtertest.Value(p.missing), filtertest.Value(p.invalid))
	}
}

func TestRefused(t *testing.T) {
	for want, p := range map[string]*TokenAuth{
		"secret": {Header: "token"},
		"header": {Secret: filter.NewSecret("s"), Header: "a b"},
	} {
		t.Run(want, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, p)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("new(filtertest.Host).Load(p): got error %v, want one with %q", err, want)
			}
		})
	}
}

func BenchmarkTokenAuth(b *testing.B) {
	p := config()
	filtertest.New(b, p)
	plugintest.BenchRequest(b, func(s filter.Stream, h filter.RequestHeaders) {
		if p.OnRequestHeaders(s, h, true) != filter.Continue {
			b.Fatal("denied")
		}
	}, "token", hash("/a/path?with=a+querysecret"))
}
