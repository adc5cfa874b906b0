package bridge

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"mosn.io/moe/e2e/client"
)

// otherLibraries makes libraries that the bridge must refuse.
func otherLibraries(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	write := func(name string, p []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), p, 0o755); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
	}
	good, err := os.ReadFile(plugins)
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	write("text.so", []byte("#!/bin/sh\n"))
	write("empty.so", nil)
	write("short.so", good[:len(good)/2])
	mips := append([]byte(nil), good...)
	mips[18], mips[19] = 8, 0 // e_machine
	write("machine.so", mips)
	compile := func(name, source string) {
		t.Helper()
		write(name+".c", []byte(source))
		path := filepath.Join(dir, name)
		if out, err := exec.Command("cc", "-shared", "-fPIC", "-o", path, path+".c").CombinedOutput(); err != nil {
			t.Fatalf("cc: %v\n%s", err, out)
		}
	}
	compile("other.so", "int something(void) { return 1; }")
	const exports = "unsigned long envoyGoFilterNewHttpPluginConfig(void *c) { return 1; }\n" +
		"unsigned long envoyGoFilterOnHttpHeader(void *c) { return 1; }\n"
	compile("newer.so", exports+
		"int envoyGoFilterHttpFromTheFuture(void *);\nint f(void) { return envoyGoFilterHttpFromTheFuture(0); }")
	compile("older.so", exports)
	return dir
}

// wrong is a configuration that the bridge must refuse, and the error for it.
type wrong struct {
	listen listen
	says   string
}

func TestBadConfiguration(t *testing.T) {
	onEnvoys(t, func(t *testing.T, b *bed) {
		dir := otherLibraries(t)
		lib := func(name string) listen { return listen{plugin: "passthrough", library: filepath.Join(dir, name)} }
		more := func(more m) listen { return listen{plugin: "passthrough", more: more} }
		route := func(v any) listen {
			return listen{plugin: "basic", vhost: m{"typed_per_filter_config": perRoute(m{"plugins_config": v})}}
		}
		b.serve(t, listen{plugin: "basic"}) // so that the library is known, and routes' configurations are parsed at once
		for name, c := range map[string]wrong{
			"missing":           {lib("missing.so"), `library_path .*missing\.so: No such file`},
			"a folder":          {lib("."), `Is a directory`},
			"text":              {lib("text.so"), `not a shared library`},
			"empty":             {lib("empty.so"), `not a shared library|Exec format`},
			"half":              {lib("short.so"), `symbol table is damaged`},
			"another processor": {lib("machine.so"), `another processor`},
			"no Go library":     {lib("other.so"), `exports no envoyGoFilterNewHttpPluginConfig`},
			"a newer ABI":       {lib("newer.so"), `needs envoyGoFilterHttpFromTheFuture.*newer than v1\.39\.0`},
			"an older ABI":      {lib("older.so"), `exports no envoyGoFilter\w+: its SDK is older`},
			"one id for two": {
				more(m{"library_path": oldPlugins}),
				`library_id "plugins\.so" stands for .*plugins\.so`,
			},
			"a number for library": {more(m{"library_id": 7}), `library_id is a number, and should be a string`},
			"no name":              {more(m{"plugin_name": ""}), `plugin_name is empty`},
			"an unknown field":     {more(m{"library": "x"}), `library is not a field`},
			"a policy":             {more(m{"merge_policy": "NONE"}), `merge_policy is none of`},
			"secrets, no list": {
				more(m{"generic_secrets": m{}}),
				`generic_secrets is an object, and should be a list`,
			},
			"a secret twice": {
				more(m{"generic_secrets": a{m{"name": "s"}, m{"name": "s"}}}),
				`given twice: "s"`,
			},
			"a secret without name": {more(m{"generic_secrets": a{m{}}}), `generic_secrets\[0\]\.name is missing`},
			"text for sds_config": {
				more(m{"generic_secrets": a{m{"name": "s", "sds_config": "x"}}}),
				`generic_secrets\[0\]\.sds_config is a string, and should be an object`,
			},
			"text for plugin_config": {more(m{"plugin_config": "x"}), `plugin_config is a string`},
			"no type":                {more(m{"plugin_config": m{"value": m{}}}), `plugin_config has no @type`},
			"an unknown type": {
				more(m{"plugin_config": m{"@type": "a/b.C", "x": 1}}),
				`is a b\.C, which a dynamic module cannot encode`,
			},
			"a bad TypedStruct": {
				more(m{"plugin_config": typedStruct("x")}),
				`not a valid xds\.type\.v3\.TypedStruct: its value is a string`,
			},
			"refused by the plugin": {
				listen{plugin: "basic", config: m{"refuse": "this"}},
				`(?s)refused: this.*plugin basic of .* refused plugin_config`,
			},
			"a route: a list":   {route(a{}), `plugins_config is a list`},
			"a route: a number": {route(m{"basic": 1}), `plugins_config\.basic is a number`},
			"a route: nothing": {
				route(m{"basic": m{}}),
				`plugins_config\.basic\.disabled is missing, and config too`,
			},
			"a route: not disabled": {route(m{"basic": m{"disabled": false}}), `disabled must be true`},
			"a route: both": {
				route(m{"basic": m{"disabled": true, "config": typedStruct(m{})}}),
				`goes not together`,
			},
			"a route: another field": {
				route(m{"basic": m{"config": typedStruct(m{}), "x": 1}}),
				`plugins_config\.basic\.x is not a field`,
			},
			"a route: no type": {
				route(m{"basic": m{"config": m{}}}),
				`plugins_config\.basic\.config has no @type`,
			},
			"a route: refused": {
				route(m{"basic": m{"config": typedStruct(m{"refuse": "that"})}}),
				`(?s)refused: that.*plugin basic refused`,
			},
		} {
			t.Run(name, func(t *testing.T) {
				if said := b.refused(t, c.listen); !regexp.MustCompile(c.says).MatchString(said) {
					t.Errorf("the log should have %q:\n%s", c.says, said)
				}
			})
		}
	})
}

// TestTwoLibraries runs plugins of one name from two libraries, on one route.
func TestTwoLibraries(t *testing.T) {
	onEnvoys(t, func(t *testing.T, b *bed) {
		mark := b.Log.Mark()
		for _, library := range []string{plugins, oldPlugins} {
			s := b.serve(t, listen{
				plugin: "headers", library: library, config: m{"set": "filter"},
				routes: a{to("/route", m{"typed_per_filter_config": forRoute("headers", m{"set": "route"})}), to("/")},
			})
			equal(t, "the filter's", "filter", s.do(t, client.Request{Path: "/"}).Header.Get("x-response"))
			equal(t, "the route's", "route", s.do(t, client.Request{Path: "/route"}).Header.Get("x-response"))
		}
		if b.Log.Count(mark, `plugin_name "headers" is served by .* and by`) != 1 {
			t.Error("the log should have one line about the plugin in two libraries")
		}
	})
}

func TestDisabledRoute(t *testing.T) {
	onEnvoys(t, func(t *testing.T, b *bed) {
		s := b.serve(t, listen{
			plugin: "headers", config: m{"set": "filter"},
			routes: a{to("/off", m{
				"typed_per_filter_config": perRoute(m{"plugins_config": m{"headers": m{"disabled": true}}}),
			}), to("/")},
		})
		equal(t, "on", "filter", s.do(t, client.Request{Path: "/", Body: "x"}).Header.Get("x-response"))
		equal(t, "off", "", s.do(t, client.Request{Path: "/off", Body: "x"}).Header.Get("x-response"))
	})
}

// TestMisuse has plugins decide twice. The stream goes on by their first decision, and the log reports the misuse.
func TestMisuse(t *testing.T) {
	onEnvoys(t, func(t *testing.T, b *bed) {
		s := b.serve(t, listen{plugin: "stress"})
		for _, op := range ops {
			for range 20 {
				r := client.Request{Method: http.MethodPost, Path: "/?op=" + op.name}
				if op.body {
					r.Body = "hello"
				}
				if got := s.do(t, r).Status; got != op.statuses[0] {
					t.Errorf("op %q: status got %d, want %d", op.name, got, op.statuses[0])
				}
			}
		}
	})
}

// TestManyRoutes gives each of 10,000 routes a configuration of its own.
func TestManyRoutes(t *testing.T) {
	const n = 10_000
	onEnvoys(t, func(t *testing.T, b *bed) {
		s := b.serve(t, listen{plugin: "stress", config: m{"set": "filter"}})
		before, err := b.RSS()
		if err != nil {
			t.Fatalf("b.RSS: %v", err)
		}
		routes := make(a, n)
		for i := range routes {
			routes[i] = m{
				"match": m{"path": fmt.Sprintf("/%d", i)}, "route": m{"cluster": "up"},
				"typed_per_filter_config": forRoute("stress", m{"set": fmt.Sprint(i)}),
			}
		}
		many := b.serve(t, listen{plugin: "stress", config: m{"set": "filter"}, routes: routes})
		for i := 0; i < n; i += 997 {
			body := many.do(t, client.Request{Path: fmt.Sprintf("/%d?op=counts", i)}).Body
			if !regexp.MustCompile(fmt.Sprintf(`(?m)^set %d$`, i)).MatchString(body) {
				t.Errorf("route %d: %q", i, body)
			}
		}
		if routes := s.counts(t)["routes"]; routes != n {
			t.Errorf("%d routes' configurations live, want %d", routes, n)
		}
		after, err := b.RSS()
		if err != nil {
			t.Fatalf("b.RSS: %v", err)
		}
		more := after - before
		t.Logf("%d routes with configurations of their own: %d MiB more, %d bytes each", n, more>>20, more/n)
		if more > 1<<30 {
			t.Error("that is too much")
		}
	})
}
