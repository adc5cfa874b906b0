// Package authztest helps the tests of the plugins that authorize.
package authztest

import (
	"os"
	"testing"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// Caller is a plugin that sets the consumer without authenticating it.
type Caller struct {
	// Consumer is who calls; nil leaves it open.
	Consumer *filter.Consumer `json:"-"`
}

func init() { filter.Register[Caller]("authztest-caller", filter.Authn) }

// OnRequestHeaders sets the consumer.
func (c *Caller) OnRequestHeaders(s filter.Stream, _ filter.RequestHeaders, _ bool) filter.Action {
	if c.Consumer != nil {
		s.SetConsumer(c.Consumer)
	}
	return filter.Continue
}

// Load returns a host with one plugin, by its configuration, for requests of consumer c from 10.1.2.3.
func Load(t testing.TB, c *filter.Consumer, plugin, config string) *filtertest.Host {
	t.Helper()
	h := &filtertest.Host{Attrs: map[filter.Attr]string{filter.AttrSourceAddress: "10.1.2.3:4567"}, Timeout: 30 * time.Second}
	if err := h.Load(t, &Caller{c}, filtertest.Config{Name: plugin, JSON: config}); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	return h
}

// Refused loads a configuration that is wrong and returns why.
func Refused(t testing.TB, plugin, config string) string {
	t.Helper()
	err := new(filtertest.Host).Load(t, filtertest.Config{Name: plugin, JSON: config})
	if err == nil {
		t.Errorf("%s is accepted", config)
		return ""
	}
	return err.Error()
}

// Replace puts a file in the place of another at once.
func Replace(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file+"~", []byte(text), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	if err := os.Rename(file+"~", file); err != nil {
		t.Fatalf("os.Rename: %v", err)
	}
}

// Until polls, with patience for a machine under load.
func Until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: ", what)
		}
	}
}

// Tricks are other ways to write /admin and what is below it, for servers that read them so. A rule that denies these
// paths, or that allows only those below /public/, must let none of them pass.
var Tricks = []string{
	"/admin", "/admin/", "//admin", "/admin//x", "/%61dmin", "/%61%64%6d%69%6e/x", "/admin%2fx", "/admin%2Fx",
	`/admin%5cx`, "/./admin", "/public/../admin", "/public/%2e%2e/admin", "/public/..%2fadmin", "/public/..;/admin",
	"/public/%2e%2e;x=y/admin", "/admin;x=y", "/admin;/", "/admin%3b", "/admin%00", "/public/..%5cadmin",
	"/public/%252e%252e/admin", "/admin%252fx", "/admin%c0%af", "/public/.%2e/admin?x=/public/", "/admin?/public/",
	"//public/../admin", "/x/../admin/", "/public/x/../../admin",
}

// Paths tries [Tricks] against a rule that denies them and one that allows others. Each host has one of them.
func Paths(t *testing.T, deny, allow *filtertest.Host) {
	t.Helper()
	for _, path := range Tricks {
		for name, h := range map[string]*filtertest.Host{"deny /admin": deny, "allow /public/": allow} {
			t.Run(name, func(t *testing.T) {
				if r := h.Get(path); r.Upstream != nil || r.Status != 403 && r.Status != 400 {
					t.Errorf("%s: %s passes: %d", name, path, r.Status)
				}
			})
		}
	}
	for _, path := range []string{"/public/a", "/public//a", "/public/a;b=/admin", "/public/%61", "/public/a?b=/admin"} {
		t.Run(path, func(t *testing.T) {
			for name, h := range map[string]*filtertest.Host{"deny /admin": deny, "allow /public/": allow} {
				t.Run(name, func(t *testing.T) {
					if r := h.Get(path); r.Status != 200 {
						t.Errorf("%s, %s: r.Status = %d, want 200: %s", name, path, r.Status, h.Log())
					}
				})
			}
		})
	}
}
