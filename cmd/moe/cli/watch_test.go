package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"mosn.io/moe/framework/document"
	"mosn.io/moe/internal/bootstrap"
	"mosn.io/moe/internal/moefile"
)

// touch changes the text of a document but not its meaning, whatever fields it has.
func TestTouch(t *testing.T) {
	l := moefile.Loader{Check: moefile.CheckPlugins, Host: moefile.Dynmod}
	doc := map[string]any{"plugins": "there"} // as in each file
	for _, field := range document.Fields() {
		if doc[field] != nil {
			continue
		}
		t.Run(field, func(t *testing.T) {
			touched := touch(doc)
			if v, ok := touched[field]; !ok || v != nil || len(touched) != len(doc)+1 {
				t.Errorf("touch: got %v, want %v with %s: null", touched, doc, field)
			}
			if _, err := l.Parse([]byte("plugins: [{name: hello}]\n" + field + ": null")); err != nil {
				t.Errorf("parsing a document with %s: null: got error %v, want none", field, err)
			}
		})
		doc[field] = "there"
	}
}

func TestSecretsOf(t *testing.T) {
	f, err := moefile.Parse([]byte("plugins: [{name: a, config: {secret: {file: b}, other: {file: c, more: 1}}}]\n"+
		"consumers: [{name: x, credentials: {a: {keys: [{file: a}, {env: E}]}}}]\n"+
		"accessLoggers: [{name: l, config: {headers: {x-key: {file: e}}}}]\n"+
		"listeners: [{name: l, address: ':1', listenerFilters: [{name: a, config: {secret: {file: f}}}], "+
		"networkFilters: [{name: a, config: {secrets: [{file: g}]}}]}, "+
		"{name: u, address: ':2', udp: {}, udpFilters: [{name: a, config: {secret: {file: h}}}]}]\n"+
		"routes: [{plugins: [{name: a, config: {secret: {file: d}}}]}]"), moefile.CheckFile, moefile.Dynmod)
	if err != nil {
		t.Fatalf("moefile.Parse: %v", err)
	}
	got := secretsOf(f)
	if diff := cmp.Diff([]string{"a", "b", "d"}, got.filter); diff != "" {
		t.Errorf("the filter's (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"e"}, got.loggers); diff != "" {
		t.Errorf("the access loggers' (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"f", "g", "h"}, got.connections); diff != "" {
		t.Errorf("those of listener, network and UDP filters (-want +got)\n%s", diff)
	}
}

// edited is a watcher without an Envoy, whose files tests write.
type edited struct {
	*watcher
	t   *testing.T
	dir string
	log bytes.Buffer
}

func newEdited(t *testing.T, check moefile.Check, files map[string]string) *edited {
	t.Helper()
	e := &edited{t: t, dir: t.TempDir()}
	e.write(files)
	cmd := &cobra.Command{}
	cmd.SetErr(&e.log)
	e.watcher = &watcher{
		f: &runFlags{file: filepath.Join(e.dir, "moe.yaml"), admin: "127.0.0.1:0"}, cmd: cmd, dir: t.TempDir(),
		loader: moefile.Loader{Check: check, Host: moefile.Dynmod}, timer: time.NewTimer(time.Hour),
		stat: func(context.Context, string) (uint64, error) { return 0, nil },
	}
	file, err := load(e.f.file, e.loader)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	if err := errors.Join(e.watch(file), e.begin(file)); err != nil {
		t.Fatalf("watch and begin: %v", err)
	}
	return e
}

// write writes files; one without text it removes.
func (e *edited) write(files map[string]string) {
	e.t.Helper()
	for name, text := range files {
		path := filepath.Join(e.dir, name)
		if text == "" {
			os.Remove(path)
		} else if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			e.t.Fatalf("os.WriteFile: %v", err)
		}
	}
}

// edit writes files, has the watcher take them, and returns which of Envoy's files have other bytes then.
func (e *edited) edit(files map[string]string) (changed []string) {
	e.t.Helper()
	read := func() map[string]string {
		all := map[string]string{}
		entries, err := os.ReadDir(e.watcher.dir)
		if err != nil {
			e.t.Fatalf("os.ReadDir: %v", err)
		}
		for _, entry := range entries {
			text, err := os.ReadFile(filepath.Join(e.watcher.dir, entry.Name()))
			if err != nil {
				e.t.Fatalf("os.ReadFile: %v", err)
			}
			all[entry.Name()] = string(text)
		}
		return all
	}
	before := read()
	e.write(files)
	settled := e.files.Settled()
	if !settled { // a change counts when two looks have seen it
		settled = e.files.Settled()
	}
	if settled {
		e.take(e.t.Context())
	}
	for name, text := range read() {
		if before[name] != text {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return changed
}

const (
	filterFile = "filter-moe.yaml"
	routesFile = "routes-moe.yaml"
)

// A secret that has changed reaches Envoy with whatever else has, and after whatever was wrong meanwhile.
func TestTakeSecrets(t *testing.T) {
	const route = "\nroutes: [{name: r, match: {path: /a}}]"
	moe := func(file string) string {
		return "listen: 127.0.0.1:8000\nupstream: http://127.0.0.1:1\nplugins: [{name: keyauth}]\n" +
			"consumers: [{name: x, credentials: {keyauth: {keys: [{file: " + file + "}]}}}]"
	}
	type step struct {
		name  string
		files map[string]string
		want  []string
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{name: "alone", steps: []step{
			{name: "once", files: map[string]string{"key": "two"}, want: []string{filterFile}},
			{name: "again", files: map[string]string{"key": "three"}, want: []string{filterFile}},
		}},
		{name: "a comment", steps: []step{{name: "alone", files: map[string]string{"moe.yaml": moe("key") + " # new"}}}},
		{name: "with a route", steps: []step{
			{
				name: "at once", files: map[string]string{"key": "two", "moe.yaml": moe("key") + route},
				want: []string{filterFile, routesFile},
			},
			{name: "the route alone", files: map[string]string{"moe.yaml": moe("key")}, want: []string{routesFile}},
		}},
		{name: "with a mistake", steps: []step{
			{name: "at once", files: map[string]string{"key": "two", "moe.yaml": moe("key") + "\nwrong: 1"}},
			{name: "mended", files: map[string]string{"moe.yaml": moe("key")}, want: []string{filterFile}},
		}},
		{name: "missing", steps: []step{
			{name: "one that is new", files: map[string]string{"moe.yaml": moe("new")}},
			{name: "it comes", files: map[string]string{"new": "two"}, want: []string{filterFile}},
			{name: "the old one, not named any more", files: map[string]string{"key": ""}},
			{name: "a route", files: map[string]string{"moe.yaml": moe("new") + route}, want: []string{routesFile}},
		}},
		{name: "removed with its name", steps: []step{
			{name: "at once", files: map[string]string{"key": "", "new": "two", "moe.yaml": moe("new")}, want: []string{filterFile}},
			{name: "a route", files: map[string]string{"moe.yaml": moe("new") + route}, want: []string{routesFile}},
		}},
		{name: "changed while a refused edit names another", steps: []step{
			{name: "refused", files: map[string]string{"moe.yaml": moe("new")}},
			{name: "changed", files: map[string]string{"key": "two"}},
			{name: "back", files: map[string]string{"moe.yaml": moe("key")}, want: []string{filterFile}},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEdited(t, moefile.ProvisionPlugins, map[string]string{"key": "one", "moe.yaml": moe("key")})
			for _, s := range c.steps {
				e.log.Reset()
				if diff := cmp.Diff(s.want, e.edit(s.files)); diff != "" {
					t.Errorf("%s: the files that Envoy reads again (-want +got):\n%s\n%s", s.name, diff, &e.log)
				}
			}
		})
	}
}

// A secret of an access logger has Envoy set up the access loggers again, and nothing else.
func TestTakeLoggersSecrets(t *testing.T) {
	e := newEdited(t, moefile.CheckFile, map[string]string{
		"key": "one", "token": "one",
		"moe.yaml": "listen: 127.0.0.1:8000\nupstream: http://127.0.0.1:1\nplugins: [{name: a, config: {key: {file: key}}}]\n" +
			"accessLoggers: [{name: l, config: {token: {file: token}}}]",
	})
	for _, s := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{name: "the logger's", files: map[string]string{"token": "two"}, want: []string{bootstrap.ListenersFile}},
		{name: "the logger's again", files: map[string]string{"token": "three"}, want: []string{bootstrap.ListenersFile}},
		{name: "the filter's", files: map[string]string{"key": "two"}, want: []string{filterFile}},
		{name: "both", files: map[string]string{"key": "three", "token": "four"}, want: []string{filterFile, bootstrap.ListenersFile}},
	} {
		t.Run(s.name, func(t *testing.T) {
			if diff := cmp.Diff(s.want, e.edit(s.files)); diff != "" {
				t.Errorf("the files that Envoy reads again (-want +got):\n%s\n%s", diff, &e.log)
			}
		})
	}
}

// A secret of a listener's filters has Envoy set up the listener again, and nothing else.
func TestTakeConnectionsSecrets(t *testing.T) {
	for kind, on := range map[string]string{"listenerFilters": "tcp", "networkFilters": "tcp", "udpFilters": "udp"} {
		t.Run(kind, func(t *testing.T) {
			e := newEdited(t, moefile.CheckFile, map[string]string{
				"token": "one",
				"moe.yaml": "listeners: [{name: l, address: '127.0.0.1:8000', " + on + ": {upstream: '127.0.0.1:1'}, " + kind +
					": [{name: l, config: {token: {file: token}}}]}]",
			})
			for _, token := range []string{"two", "three"} {
				t.Run(token, func(t *testing.T) {
					if diff := cmp.Diff([]string{bootstrap.ListenersFile}, e.edit(map[string]string{"token": token})); diff != "" {
						t.Errorf("the files that Envoy reads again (-want +got):\n%s\n%s", diff, &e.log)
					}
				})
			}
		})
	}
}

// What requests of before an edit need stays through a second edit, until those requests are gone.
func TestTakeFollowingEdits(t *testing.T) {
	const head = "listen: 127.0.0.1:8000\nupstream: http://127.0.0.1:1\n"
	e := newEdited(t, moefile.CheckFile, map[string]string{
		"moe.yaml": head + "plugins: [{name: first}]\n" +
			"routes: [{name: r, match: {path: /a}, plugins: [{id: first, config: {x: 1}}]}]",
	})
	has := func(plugin string) bool {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(e.watcher.dir, filterFile))
		if err != nil {
			t.Fatalf("os.ReadFile: %v", err)
		}
		return bytes.Contains(text, []byte(plugin))
	}
	for _, next := range []string{"second", "third", "fourth"} {
		t.Run(next, func(t *testing.T) {
			e.edit(map[string]string{"moe.yaml": head + "plugins: [{name: " + next + "}]"})
			if !has("first") || !has(next) {
				t.Errorf("got first %v and %s %v, want both\n%s", has("first"), next, has(next), &e.log)
			}
		})
	}
	e.finish()
	if has("first") || !has("fourth") {
		t.Errorf("the filter at last: got first %v and fourth %v, want fourth alone\n%s", has("first"), has("fourth"), &e.log)
	}
	for i := range e.before {
		e.before[i].until = time.Now()
	}
	e.edit(map[string]string{"moe.yaml": head + "plugins: [{name: fifth}]"})
	if has("first") || len(e.before) != 1 {
		t.Errorf("when no old request is left: got first %v and %d former configurations, want the last one", has("first"), len(e.before))
	}
}
