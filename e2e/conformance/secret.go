package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/framework/filter"
)

// SecretFile is a file from which Envoy has a generic secret, as from an SDS server.
type SecretFile struct{ Path, Name string }

// NewSecretFile writes one into a folder of its own in dir, which Envoy watches.
func NewSecretFile(dir, name, value string) (*SecretFile, error) {
	dir, err := os.MkdirTemp(dir, "sds-")
	if err != nil {
		return nil, err
	}
	f := &SecretFile{Path: filepath.Join(dir, "secret.json"), Name: name}
	return f, f.Set(value)
}

// Set replaces the secret by a rename, which is what Envoy waits for.
func (f *SecretFile) Set(value string) error {
	p, err := json.Marshal(M{"version_info": value, "resources": A{M{
		"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
		"name":  f.Name, "generic_secret": M{"secret": M{"inline_string": value}},
	}}})
	if err != nil {
		return err
	}
	return envoytest.Replace(f.Path, p)
}

// Config is the secret's entry in a list of generic_secrets.
func (f *SecretFile) Config() M {
	return M{"name": f.Name, "sds_config": M{
		"path_config_source": M{"path": f.Path}, "resource_api_version": "V3",
	}}
}

// secretScenarios are about Envoy's secrets.
func secretScenarios() []Scenario {
	return []Scenario{
		{Name: "secrets of SDS: in each phase, in new values", Needs: filter.CanReadSecret, Run: secretsRotate},
		{Name: "secrets of SDS: in plugins that need the capability", Needs: filter.CanReadSecret, Run: func(b *Bed) {
			f := b.secretFile("own", "v1")
			chain := Chain(ProbeOf("probesecrets", "p", "request_headers", "set x-got ${secret.own}"))
			chain["generic_secrets"] = A{f.Config()}
			ln := b.Listen(Listen{Chain: chain})
			b.Poll(func() error { return ln.sees("x-got", "v1") })
		}},
		{Name: "secrets of SDS: asked for by goroutines while the phases run", Needs: filter.CanReadSecret, Run: func(b *Bed) {
			f := b.secretFile("first", "v1")
			chain := Chain(Probe("p", "request_headers", "race 4; set x-got ${secret.first}",
				"response_headers", "race 4; set x-seen 1"))
			chain["generic_secrets"] = A{f.Config()}
			ln := b.Listen(Listen{Chain: chain})
			b.Poll(func() error { return ln.sees("x-got", "v1") })
			for range 30 {
				r := ln.Do(client.Request{})
				Equal(b, "x-seen", r.Header.Get("x-seen"), "1")
				Equal(b, "x-got", b.Seen(r, 1)[0].Header.Get("x-got"), "v1")
			}
			b.Poll(func() error {
				if n := b.Live()["goroutines"]; n != 0 {
					return fmt.Errorf("%d goroutines still ask", n)
				}
				return nil
			})
		}},
		{Name: "secrets: what is not listed", Run: func(b *Bed) {
			ln := b.Listen(Listen{Chain: Chain(
				Probe("p", "request_headers", "set x-got ${secret.none}; set x-can ${caps.CanReadSecret}",
					"response_headers", "go; set x-got ${secret.none}"),
			)})
			r := ln.Do(client.Request{})
			got := b.Seen(r, 1)[0].Header
			want := "error: " + filter.ErrUnsupported.Error()
			if got.Get("x-can") == "true" {
				want = "error: " + filter.ErrNotFound.Error()
			}
			Equal(b, "in the request", got.Get("x-got"), want)
			Equal(b, "off Envoy's thread", r.Header.Get("x-got"), want)
		}},
		{Name: "secrets: refused in a route's document", Run: func(b *Bed) {
			ln := b.Listen(Listen{RDS: true, Chain: Chain(cfg(M{"rate": 1}))})
			doc := Chain(cfg(M{"rate": 3}))
			doc["generic_secrets"] = A{M{"name": "a"}}
			c, err := b.Host.Route(b, FilterName, doc)
			if err == nil {
				err = ln.SetRoutes(To("up", "/", M{"typed_per_filter_config": M{FilterName: c}}))
			}
			text := refusal(b, err) + b.HostLog().Since(b.mark)
			Contains(b, "the reason", text, "generic_secrets: belongs to the filter")
			shown(b, ln.Do(client.Request{}), "rate", 1)
		}},
	}
}

func (b *Bed) secretFile(name, value string) *SecretFile {
	b.Helper()
	f, err := NewSecretFile(b.Envoy.Dir, name, value)
	if err != nil {
		b.Fatal(err)
	}
	return f
}

// sees tells whether a header that a plugin sets on requests has a value.
func (ln *Listener) sees(name, want string) error {
	r := ln.Do(client.Request{})
	seen := ln.bed.Seen(r, 1)
	if got := seen[0].Header.Get(name); got != want {
		return fmt.Errorf("%s is %q, want %q", name, got, want)
	}
	return nil
}

func secretsRotate(b *Bed) {
	first, second := b.secretFile("first", "one"), b.secretFile("second", "two")
	chain := Chain(Probe("p",
		"request_headers", "set x-a '${secret.first} ${secret.second} ${secret.third}'; go; set x-b '${secret.first}'",
		"response_headers", "set x-c ${secret.second}; go; set x-d ${secret.second}",
		"complete", "log info 'done ${req.x-id} ${secret.first}'"))
	chain["generic_secrets"] = A{first.Config(), second.Config()}
	ln := b.Listen(Listen{Chain: chain})
	check := func(one, two string) {
		b.Helper()
		// The listener may serve while workers do not have the value yet, and each request may be another worker's.
		b.Poll(func() error {
			for range 8 {
				client.CloseIdle()
				r := ln.Do(client.Request{})
				up := b.Seen(r, 1)[0].Header
				for _, c := range [][2]string{
					{up.Get("x-a"), one + " " + two + " error: " + filter.ErrNotFound.Error()},
					{up.Get("x-b"), one},
					{r.Header.Get("x-c"), two},
					{r.Header.Get("x-d"), two},
				} {
					if c[0] != c[1] {
						return fmt.Errorf("got %q, want %q", c[0], c[1])
					}
				}
			}
			return nil
		})
		r := ln.Do(client.Request{})
		b.WaitLog("done " + r.ID + " " + one)
	}
	check("one", "two")
	for i := range 3 {
		one, two := fmt.Sprint("one-", i), fmt.Sprint("two-", i)
		for f, v := range map[*SecretFile]string{first: one, second: two} {
			if err := f.Set(v); err != nil {
				b.Fatal(err)
			}
		}
		check(one, two)
	}
}
