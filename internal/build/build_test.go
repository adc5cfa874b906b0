package build

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, file, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatalf("os.MkdirAll: %v", err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	return file
}

func TestCheckout(t *testing.T) {
	t.Setenv("MOE", "")
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatalf("filepath.EvalSymlinks: %v", err)
	}
	here, err := Checkout("")
	if err != nil || modulePath(here) != Module {
		t.Fatalf("%q: Checkout: %v; modulePath(here) = %q, want %q", here, err, modulePath(here), Module)
	}
	t.Chdir(dir)
	if got, err := Checkout(""); err != nil || got != here {
		t.Errorf("from elsewhere, the sources of this program: %q, %v", got, err)
	}
	// A module of ours inside of a checkout, as e2e is.
	write(t, filepath.Join(dir, "go.mod"), "// comment\nmodule \"mosn.io/moe\" // ours\n")
	write(t, filepath.Join(dir, "e2e", "go.mod"), "module mosn.io/moe/e2e\n")
	t.Chdir(filepath.Join(dir, "e2e"))
	if got, err := Checkout(""); err != nil || got != dir {
		t.Errorf("%q, %v; want %q", got, err, dir)
	}
	t.Setenv("MOE", here)
	if got, err := Checkout(""); err != nil || got != here {
		t.Errorf("MOE: %q, %v", got, err)
	}
	if got, err := Checkout(".."); err != nil || got != dir {
		t.Errorf("explicit: %q, %v", got, err)
	}
	if _, err := Checkout("."); err == nil || !strings.Contains(err.Error(), "--moe") {
		t.Errorf("another module: %v", err)
	}
	t.Setenv("MOE", "/nowhere")
	if _, err := Checkout(""); err == nil || !strings.Contains(err.Error(), "MOE /nowhere") {
		t.Errorf("bad MOE: %v", err)
	}
}

func TestGoMod(t *testing.T) {
	root := filepath.Join(t.TempDir(), "with blank")
	write(t, filepath.Join(root, "go.mod"), `module mosn.io/moe

go 1.26.0

require example.com/one v1.0.0

require (
	example.com/two v2.0.0
	example.com/three v3.0.0 // indirect

)

replace example.com/one => ../one

tool example.com/two
`)
	write(t, filepath.Join(root, "go.sum"), "sums\n")
	mod, sum, err := goMod(root, "example.com/mine")
	if err != nil {
		t.Fatalf("goMod: %v", err)
	}
	want := `module example.com/mine

go 1.26.0

require mosn.io/moe ` + unpublished + `

require example.com/one v1.0.0 // indirect
require (
	example.com/two v2.0.0 // indirect
	example.com/three v3.0.0 // indirect

)

// The sources of MoE on this machine.
replace mosn.io/moe => "` + root + `"
`
	if string(mod) != want || string(sum) != "sums\n" {
		t.Errorf("got\n%s%s\nwant\n%s", mod, sum, want)
	}
}

func TestAddFolder(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	root := write(t, "moe/go.mod", "module mosn.io/moe\n\ngo 1.26\n")
	write(t, "theirs/go.mod", "module example.com/theirs\n\ngo 1.26\n\nreplace example.com/x => ../x\n\n"+
		"replace example.com/y v1.2.3 => example.com/z v1.0.0\n\nreplace mosn.io/moe => ../elsewhere\n")
	write(t, "theirs/go.sum", "their sums\n")
	write(t, "theirs/sub/sub.go", "package sub\n")
	w := &workspace{ctx: t.Context(), root: filepath.Dir(filepath.Join(dir, root)), dir: t.TempDir(), log: &bytes.Buffer{}}
	if err := w.init("moe.build/libmoe"); err != nil {
		t.Fatalf("w.init: %v", err)
	}
	pkg, err := w.add("./theirs/sub")
	if err != nil || pkg != "example.com/theirs/sub" {
		t.Fatalf("w.add(\"./theirs/sub\") = %q and error %v, want %q\n%s", pkg, err, "example.com/theirs/sub", w.log)
	}
	if pkg, err := w.add("moe"); err != nil || pkg != Module { // a folder, as it has a go.mod
		t.Errorf(`w.add("moe") = %q and error %v, want %q`, pkg, err, Module)
	}
	mod, err := os.ReadFile(filepath.Join(w.dir, "go.mod"))
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	for _, want := range []string{
		"example.com/theirs " + unpublished, "example.com/theirs => " + filepath.Join(dir, "theirs"),
		"example.com/x => " + filepath.Join(dir, "x"), "example.com/y v1.2.3 => example.com/z v1.0.0",
		"mosn.io/moe => " + filepath.Join(dir, "moe"),
	} {
		if !strings.Contains(string(mod), want) {
			t.Errorf("no %q in\n%s", want, mod)
		}
	}
	if sum, err := os.ReadFile(filepath.Join(w.dir, "go.sum")); err != nil || string(sum) != "their sums\n" {
		t.Errorf("go.sum: %q, %v", sum, err)
	}
}

func TestMainFile(t *testing.T) {
	got := string(mainFile([]string{"a/b"}, "", nil))
	if got != "package main\n\nimport (\n\t_ \"a/b\"\n)\n\nfunc main() {}\n" {
		t.Errorf(`mainFile([]string{"a/b"}, "") = %q, want %q`,
			got, "package main\n\nimport (\n\t_ \"a/b\"\n)\n\nfunc main() {}\n")
	}
	if got := string(mainFile([]string{"a/b"}, "c/cli", nil)); !strings.Contains(got, "cli \"c/cli\"") {
		t.Errorf(`mainFile([]string{"a/b"}, "c/cli") = %q, want it to contain %q`, got, "cli \"c/cli\"")
	}
	with := string(mainFile([]string{"a/b"}, "c/cli", []byte(`{"a/b":{"T":"says \"x\""}}`)))
	if want := `cli.Comments("{\"a/b\":{\"T\":\"says \\\"x\\\"\"}}")`; !strings.Contains(with, want) {
		t.Errorf("mainFile with comments = %q, want it to contain %q", with, want)
	}
}

func TestHostsOfTheCheckout(t *testing.T) {
	root, err := Checkout("")
	if err != nil {
		t.Fatalf("Checkout: %v", err)
	}
	hosts, err := hostImports(root)
	if err != nil || len(hosts) == 0 {
		t.Fatalf("%v: hostImports: %v; len(hosts) = 0, want another", hosts, err)
	}
	for _, h := range hosts {
		if !strings.HasPrefix(h, Module+"/framework/") && h != Module+"/pkg/consumer" {
			t.Errorf("cmd/libmoe imports %s, which is neither a host nor the exporter of traces", h)
		}
	}
	own, err := ownPlugins(root, []string{"hello"}, nil)
	if err != nil || len(own) != 1 || own[0] != Module+"/plugins/hello" {
		t.Errorf("ownPlugins: got %v and error %v, want hello alone", own, err)
	}
}

func TestOwnPlugins(t *testing.T) {
	root, err := Checkout("")
	if err != nil {
		t.Fatalf("Checkout: %v", err)
	}
	names := func(only, without []string) string {
		t.Helper()
		list, err := ownPlugins(root, only, without)
		if err != nil {
			t.Fatalf("ownPlugins: %v", err)
		}
		for i := range list {
			list[i] = filepath.Base(list[i])
		}
		return " " + strings.Join(list, " ") + " "
	}
	if got := names(nil, nil); got != " plugins " {
		t.Errorf("names(nil, nil) = %q, want %q", got, " plugins ")
	}
	if got := names([]string{"opa", "hello"}, []string{"hello", "cel"}); got != " opa " {
		t.Errorf("names(…) = %q, want %q", got, " opa ")
	}
	if got := names([]string{}, nil); strings.TrimSpace(got) != "" {
		t.Errorf("strings.TrimSpace(got) = %q, want %q: %q", strings.TrimSpace(got), "", got)
	}
	got := names(nil, []string{"opa", "cel"})
	if strings.Contains(got, " opa ") || strings.Contains(got, " cel ") || !strings.Contains(got, " tokenauth ") {
		t.Errorf("names: got %q, want tokenauth in it, and opa and cel not", got)
	}
	for flag, lists := range map[string][2][]string{"--only oppa": {{"oppa"}, nil}, "--without oppa": {nil, {"oppa"}}} {
		if _, err := ownPlugins(root, lists[0], lists[1]); err == nil || !strings.Contains(err.Error(), flag+": MoE has no such") {
			t.Errorf("%s: ownPlugins(root, lists[0], lists[1]): got error %v, want one with %q",
				flag, err, flag+": MoE has no such")
		}
	}
}
