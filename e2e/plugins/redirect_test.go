package plugins

import (
	"strings"

	"mosn.io/moe/e2e/client"
)

func init() {
	add("redirect: scheme, prefix, groups, routes", func(b *bed) {
		ln := b.listen(`plugins: [{name: redirect, config: {rules: [
			{name: old, prefix: /old, to: {prefix: /echo}, status: 308},
			{name: user, pattern: '^/~(.*)$', to: {path: '/users/$1'}},
			{name: go, pattern: '^/go(.*)$', to: {path: '$1'}},
			{name: tls, hosts: [secure.example], scheme: http, to: {scheme: https}, status: 301}]}}, {name: keyauth}]`,
			route{"/echo/moved", `plugins: [{name: redirect, config: {rules: [{to: {host: new.example, port: 8443}}]}}, {name: keyauth, disabled: true}]`})
		host := ln.get("/old").Header.Get("location")
		host = strings.TrimSuffix(host, "/echo")
		for _, c := range []struct {
			path, host, want string
			status           int
		}{
			{path: "/old/a%20b?c=d", want: host + "/echo/a%20b?c=d", status: 308},
			{path: "/~ann", want: host + "/users/ann", status: 302},
			{path: "/go//evil.example", want: host + "/evil.example", status: 302},
			{path: "/x?y", host: "secure.example:80", want: "https://secure.example/x?y", status: 301},
			{path: "/echo/moved", want: "http://new.example:8443/echo/moved", status: 302},
		} {
			r := ln.Do(client.Request{Path: c.path, Host: c.host})
			if r.Status != c.status || r.Header.Get("location") != c.want || b.reached(r) {
				b.Errorf("%s: got %d to %q, want %d to %q", c.path, r.Status, r.Header.Get("location"), c.status, c.want)
			}
		}
		if r := ln.get("/oldest"); r.Status != 401 {
			b.Errorf("a path that only begins like the prefix: got %d, want 401 of keyauth", r.Status)
		}
	})
}
