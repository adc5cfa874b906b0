package outbound

import (
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// asker is a plugin that has a connection.
type asker struct {
	Connection

	client *http.Client
	stop   func()
}

func init() { filter.Register[asker]("asker", filter.Authn) }

func (a *asker) Provision(env *filter.Env) (err error) {
	a.client, a.stop, err = a.Client(env)
	return err
}

func (a *asker) Close() error {
	if a.stop != nil {
		a.stop()
	}
	return nil
}

func (a *asker) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	return filter.Continue
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name, address string
		with          Connection
		want          string
	}{
		{name: "https", address: "https://a.example/x"},
		{name: "http", address: "http://a.example/x", want: "must be https"},
		{name: "http, allowed", address: "http://a.example/x", with: Connection{AllowHTTP: true}},
		{name: "http, in a cluster", address: "http://a.example/x", with: Connection{Cluster: "c"}},
		{name: "http, to 127.0.0.1", address: "http://127.0.0.1:1/x"},
		{name: "http, to ::1", address: "http://[::1]:1/x"},
		{name: "http, to localhost", address: "http://localhost/x"},
		{name: "a host that begins like an address", address: "http://127.0.0.1.evil.example/x", want: "must be https"},
		{name: "with a password", address: "https://u:p@a.example", want: "user or password"},
		{name: "a file", address: "file:///etc/passwd", with: Connection{AllowHTTP: true}, want: "https URL"},
		{name: "no host", address: "https:///x", want: "https URL"},
		{name: "no scheme", address: "/x", want: "https URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := url.Parse(c.address)
			if err != nil {
				t.Fatalf("url.Parse: %v", err)
			}
			err = c.with.Check(u)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", c.address, err, c.want)
			}
		})
	}
	if new(Connection).Check(nil) == nil {
		t.Error("no address at all is taken")
	}
	for want, c := range map[string]Connection{
		"timeout": {Timeout: -1}, "caFile": {Cluster: "c", CAFile: "f", Timeout: 1},
	} {
		t.Run(want, func(t *testing.T) {
			if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("c.Validate(): got error %v, want one with %q", err, want)
			}
		})
	}
}

func TestClient(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/", http.StatusFound)
		}
	}))
	defer s.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(file, ca, 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	for name, c := range map[string]struct {
		with Connection
		ok   bool
	}{"trusted": {Connection{CAFile: file}, true}, "not trusted": {Connection{}, false}} {
		t.Run(name, func(t *testing.T) {
			a := &asker{Connection: c.with}
			filtertest.New(t, a)
			w, err := a.client.Get(s.URL + "/moved")
			if (err == nil) != c.ok || err == nil && w.StatusCode != http.StatusFound {
				t.Errorf("%s: got %v, %v; want 302: %v", name, w, err, c.ok)
			}
			if err == nil {
				w.Body.Close()
			}
		})
	}
	for want, c := range map[string]Connection{
		"no such file": {CAFile: file + "x"}, "cluster": {Cluster: "nowhere"},
	} {
		t.Run(want, func(t *testing.T) {
			if err := new(filtertest.Host).Load(t, &asker{Connection: c}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("new(filtertest.Host).Load(&asker{Connection: c}): got error %v, want one with %q", err, want)
			}
		})
	}
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	if new(filtertest.Host).Load(t, &asker{Connection: Connection{CAFile: file}}) == nil {
		t.Error("a file without a certificate is taken")
	}
}

func TestReadAll(t *testing.T) {
	if b, err := ReadAll(strings.NewReader("abc"), 3); err != nil || string(b) != "abc" {
		t.Errorf("%q: ReadAll: %v; b = %q, want %q", b, err, string(b), "abc")
	}
	if _, err := ReadAll(strings.NewReader("abcd"), 3); !errors.Is(err, ErrTooLong) {
		t.Errorf(`ReadAll(strings.NewReader("abcd"), 3): got error %v, want %v`, err, ErrTooLong)
	}
}
