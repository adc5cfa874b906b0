package plugins

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/envoytest"
)

// replace replaces a file by a rename.
func replace(t testing.TB, file, text string) {
	t.Helper()
	if err := envoytest.Replace(file, []byte(text)); err != nil {
		t.Fatalf("envoytest.Replace: %v", err)
	}
}

// status waits until a request is answered with a status.
func (l *listener) status(want int, path string, header ...string) {
	l.b.Helper()
	l.b.Poll(func() error {
		if r := l.get(path, header...); r.Status != want {
			return fmt.Errorf("%s %v: %d, want %d", path, header, r.Status, want)
		}
		return nil
	})
}

func init() {
	add("keyauth: the consumer is passed on", func(b *bed) {
		ln := b.listen(`{plugins: [{name: keyauth, config: {query: key}}], consumerHeader: x-user,
			consumers: [{name: alice, groups: [staff], credentials: {keyauth: {key: wonderland}}}]}`)
		r := ln.get("/echo?a=b&key=wonderland&c", "x-user", "root", "X_User", "root", "x-moe-consumer", "root")
		if r.Status != 200 {
			b.Fatalf("r.Status = %d, want 200: %s", r.Status, r.Body)
		}
		seen := b.upstream(r)
		if seen.Path != "/echo?a=b&c" || strings.Join(seen.Header.Values("x-user"), ",") != "alice" ||
			seen.Header.Get("x-moe-consumer") != "" || seen.Header["X_user"] != nil {
			b.Errorf("the upstream sees %+v", seen)
		}
		if got := b.Access(r.ID)["consumer"]; got != "alice" {
			b.Errorf("Envoy's access log has the consumer %v", got)
		}
		b.Poll(func() error {
			page, err := b.Host.Metrics(b.Envoy)
			name := b.Host.Metric("moe.consumer.requests")
			if err == nil && (!strings.Contains(page, name) || !strings.Contains(page, `consumer="alice"`)) {
				err = fmt.Errorf("no %s of alice", name)
			}
			return err
		})
		for name, header := range map[string][]string{
			"no key": nil, "a prefix of a key": {"x-api-key", "wonderlan"}, "an empty key": {"x-api-key", ""},
			"two keys": {"x-api-key", "wonderland", "x-api-key", "x"},
		} {
			b.Run(name, func() {
				r := ln.get("/echo", header...)
				if r.Status != 401 || b.reached(r) || r.Header.Get("www-authenticate") != `ApiKey realm="moe"` {
					b.Errorf("got status %d and header %v, want 401 with a challenge, before the upstream", r.Status, r.Header)
				}
			})
		}
		if why := b.refused(`{plugins: [{name: keyauth}], consumers: [{name: a, credentials: {keyauth: {key: geheim}}},
			{name: b, credentials: {keyauth: {key: geheim}}}]}`); strings.Contains(why, "geheim") ||
			!strings.Contains(why, "consumers a and b have the same credential") {
			b.Errorf("refused: %s", why)
		}
	})

	add("consumers: a file that changes", func(b *bed) {
		file := filepath.Join(b.TempDir(), "consumers.yaml")
		replace(b, file, "- {name: alice, credentials: {keyauth: {key: a}}}\n")
		ln := b.listen(`{plugins: [{name: keyauth}], consumerSource: {path: ` + file + `, poll: 20ms}}`)
		ln.status(200, "/echo", "x-api-key", "a")
		replace(b, file, "- {name: alice, credentials: {keyauth: {key: b}}}\n")
		ln.status(200, "/echo", "x-api-key", "b")
		ln.status(401, "/echo", "x-api-key", "a")
		replace(b, file, "- {name: alice")
		b.WaitLog("those from before stay")
		ln.status(200, "/echo", "x-api-key", "b")
		replace(b, file, "")
		ln.status(401, "/echo", "x-api-key", "b")
	})

	add("consumers: plugins of their own", func(b *bed) {
		file := filepath.Join(b.TempDir(), "consumers.yaml")
		replace(b, file, `
- name: gold
  credentials: {keyauth: {key: g}}
  plugins: [{id: hello, config: {value: gold}}]
- name: quiet
  credentials: {keyauth: {key: q}}
  plugins: [{id: hello, disabled: true}]
- name: plain
  credentials: {keyauth: {key: p}}
`)
		ln := b.listen(`{plugins: [{name: keyauth}, {name: hello, config: {header: x-plan, value: standard}}],
			consumerSource: {path: `+file+`, poll: 20ms}}`,
			route{"/body/", `plugins: [{name: hello, config: {value: of the route}}]`})
		for _, c := range []struct{ name, key, path, want string }{
			{name: "plain", key: "p", path: "/echo", want: "standard"},
			{name: "gold", key: "g", path: "/echo", want: "gold"},
			{name: "quiet", key: "q", path: "/echo", want: ""},
			{name: "plain, on the route", key: "p", path: "/body/x", want: "of the route"},
			{name: "gold, on the route", key: "g", path: "/body/x", want: "gold"},
			{name: "quiet, on the route", key: "q", path: "/body/x", want: ""},
		} {
			b.Run(c.name, func() {
				if r := ln.get(c.path, "x-api-key", c.key); r.Status != 200 || r.Header.Get("x-plan") != c.want {
					b.Errorf("got %d and x-plan %q, want 200 and %q", r.Status, r.Header.Get("x-plan"), c.want)
				}
			})
		}
		replace(b, file, `- {name: plain, credentials: {keyauth: {key: p}}, plugins: [{id: hello, config: {value: promoted}}]}`)
		b.Poll(func() error {
			if got := ln.get("/echo", "x-api-key", "p").Header.Get("x-plan"); got != "promoted" {
				return fmt.Errorf("x-plan is %q", got)
			}
			return nil
		})
	})

	add("anonymous and consumerrestriction", func(b *bed) {
		ln := b.listen(`{plugins: [{name: keyauth}, {name: anonymous}, {name: consumerrestriction, config: {
			allow: [{consumers: [alice]}, {consumers: [anonymous], methods: [GET], paths: [/body/*]}]}}],
			consumers: [{name: alice, credentials: {keyauth: {key: a}}}, {name: bob, credentials: {keyauth: {key: b}}}]}`)
		for _, c := range []struct {
			name, key, path string
			want            int
		}{
			{name: "allowed everywhere", key: "a", path: "/echo", want: 200},
			{name: "allowed nowhere", key: "b", path: "/echo", want: 403},
			{name: "allowed nowhere, where anonymous is", key: "b", path: "/body/x", want: 403},
			{name: "anonymous, where allowed", path: "/body/x", want: 200},
			{name: "anonymous, elsewhere", path: "/echo", want: 403},
			{name: "a wrong key is not anonymous", key: "wrong", path: "/body/x", want: 401},
			{name: "dots", path: "/body/../echo", want: 400},
			{name: "encoded dots", path: "/body/%2e%2e/echo", want: 400},
			{name: "encoded slashes", path: "/body%2f..%2fecho", want: 400},
		} {
			b.Run(c.name, func() {
				var header []string
				if c.key != "" {
					header = []string{"x-api-key", c.key}
				}
				if r := ln.get(c.path, header...); r.Status != c.want || b.reached(r) != (c.want == 200) {
					b.Errorf("got status %d, at the upstream %t; want %d, which is there only with 200", r.Status, b.reached(r), c.want)
				}
			})
		}
		if r := ln.post("/body/x", "x"); r.Status != 403 {
			b.Errorf("an anonymous POST: got status %d, want 403", r.Status)
		}
	})
}

func init() {
	add("consumerrestriction: wildcards and hosts", func(b *bed) {
		ln := b.listen(`{plugins: [{name: keyauth}, {name: consumerrestriction, config: {
			deny: [{consumers: ["team-*"], paths: [/body/*/keys]}, {hosts: ["*.internal.example"]}]}}],
			consumers: [{name: team-red, credentials: {keyauth: {key: red}}}, {name: ann, credentials: {keyauth: {key: ann}}}]}`)
		for _, c := range []struct {
			name, key, path, host string
			status                int
		}{
			{name: "denied", key: "red", path: "/body/7/keys", status: 403},
			{name: "another path", key: "red", path: "/body/7/other", status: 200},
			{name: "another consumer", key: "ann", path: "/body/7/keys", status: 200},
			{name: "a host", key: "ann", path: "/body/x", host: "a.internal.example", status: 403},
		} {
			b.Run(c.name, func() {
				r := ln.Do(client.Request{Path: c.path, Host: c.host, Header: []string{"x-api-key", c.key}})
				if r.Status != c.status {
					b.Errorf("got %d, want %d", r.Status, c.status)
				}
			})
		}
	})
}
