package sniroute

import (
	"strings"
	"testing"

	"mosn.io/moe/framework/network/networktest"
)

func TestSNIRoute(t *testing.T) {
	const routes = `
routes:
- {names: [a.example, "*.b.example"], cluster: one}
- {names: ["*.c.b.example", deep.b.example], cluster: two}
`
	for _, c := range []struct {
		name, conf, sni, cluster string // no cluster: reset
	}{
		{name: "a whole name", sni: "a.example", cluster: "one"},
		{name: "upper case", sni: "A.Example", cluster: "one"},
		{name: "below", sni: "x.b.example", cluster: "one"},
		{name: "far below", sni: "x.y.b.example", cluster: "one"},
		{name: "a longer one", sni: "x.c.b.example", cluster: "two"},
		{name: "a whole name before one below", sni: "deep.b.example", cluster: "two"},
		{name: "the domain itself", sni: "b.example"},
		{name: "another name", sni: "aa.example"},
		{name: "no name", sni: ""},
		{name: "another name with a default", conf: "default: rest\n", sni: "aa.example", cluster: "rest"},
		{name: "no name with a default", conf: "default: rest\n", cluster: "rest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := networktest.New[SNIRoute](t, routes+c.conf)
			if err != nil {
				t.Fatalf("networktest.New: %v", err)
			}
			conn := f.Connect(networktest.Peer{ServerName: c.sni})
			if got := conn.FilterStateOf("envoy.tcp_proxy.cluster"); got != c.cluster {
				t.Errorf("the cluster is %q, want %q", got, c.cluster)
			}
			if closed := conn.Closed(); (closed != nil) != (c.cluster == "") {
				t.Errorf("closed as %+v, want that where there is no cluster", closed)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct{ name, conf, want string }{
		{"no route", "routes: []", "routes"},
		{"a name twice", "routes: [{names: [a, A], cluster: c}]", `duplicate server name "a"`},
		{"an asterisk within", "routes: [{names: ['a.*.b'], cluster: c}]", "expected a server name"},
		{"no cluster", "routes: [{names: [a]}]", "cluster"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := networktest.New[SNIRoute](t, c.conf); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q in it", err, c.want)
			}
		})
	}
}
