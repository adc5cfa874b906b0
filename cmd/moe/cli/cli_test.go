package cli

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"mosn.io/moe/framework/filter"
	_ "mosn.io/moe/plugins"
)

// needy is a plugin that needs a capability.
type needy struct{}

func (*needy) OnComplete(filter.Stream) {}

func init() {
	filter.Register[needy]("needscallouts", filter.Observe, filter.Needs(filter.CanCallout))
	filter.Register[needy]("needspipes", filter.Observe, filter.Needs(filter.CanPipePromptly))
}

// moe runs a command line inside the test.
func moe(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = run(t.Context(), args, strings.NewReader(""), &out, &err)
	return status, out.String(), err.String()
}

func write(t *testing.T, text string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "moe.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	return file
}

func TestEveryCommandHasHelp(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Name() == "help" || c.Name() == "completion" {
			return
		}
		if c.Short == "" || c.Long == "" || c.Example == "" {
			t.Errorf("%s: got short %q, long %q and example %q, want all three", c.CommandPath(), c.Short, c.Long, c.Example)
		}
		for line := range strings.Lines(c.Long + "\n" + c.Example) {
			if len(line) > 121 || strings.Contains(line, "\t") {
				t.Errorf("%s: got a line of %d bytes, %q; want at most 121, and no tabs",
					c.CommandPath(), len(line), line)
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(New())
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args   string
		status int
		stdout string
		stderr string
	}{
		{"", 0, "Available Commands", ""},
		{"--version", 0, "moe ", ""},
		{"run --help", 0, "--print-config", ""},
		{"completion bash", 0, "__start_moe", ""},
		{"__complete run --log-level de", 0, "debug", ""},
		{"nothing", 2, "", `moe: unknown command "nothing"`},
		{"rnu", 2, "", `unknown command "rnu"; did you mean run?`},
		{"run --nothing", 2, "", "Run 'moe run --help' for usage."},
		{"run more", 2, "", "unknown command"},
		{"new", 2, "", "accepts 1 arg"},
		{"build", 2, "", "say what to build"},
		{"run -c /nowhere.yaml", 1, "", "moe: open /nowhere.yaml: no such file or directory; name another with -c FILE"},
		{"validate -c /nowhere.yaml", 1, "", "no such file"},
	} {
		t.Run(c.args, func(t *testing.T) {
			status, stdout, stderr := moe(t, strings.Fields(c.args)...)
			if status != c.status || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
				t.Errorf("moe %s: got status %d, want %d with %q and %q:\n%s\n%s", c.args, status, c.status, c.stdout, c.stderr, stdout, stderr)
			}
		})
	}
}

func TestValidateListsEveryError(t *testing.T) {
	file := write(t, `
listen: here
plugins:
- {name: tokenauth}
- {name: hello, config: {value: "", valeu: x}}
- {name: helo}
`)
	status, stdout, stderr := moe(t, "validate", "-c", file)
	if status != 1 || stdout != "" {
		t.Errorf("got status %d and output %q, want 1 and none", status, stdout)
	}
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	for _, want := range []string{
		"2:1: listen: ", "4:3: plugins[0].config.secret: ", "5:37: plugins[1].config.valeu: ", "6:4: plugins[2].name: ",
	} {
		t.Run(want, func(t *testing.T) {
			found := false
			for _, line := range lines {
				found = found || strings.HasPrefix(line, "moe: "+file+":"+want)
			}
			if !found {
				t.Errorf("no line begins with moe: %s:%s", file, want)
			}
		})
	}
	if t.Failed() {
		t.Log(stderr)
	}
	// An invalid file is neither run nor printed.
	if status, stdout, _ := moe(t, "run", "--print-config", "-c", file); status != 1 || stdout != "" {
		t.Errorf("run --print-config: got status %d and output %q, want 1 and none", status, stdout)
	}
}

func TestValidateSetsUp(t *testing.T) {
	file := write(t, "plugins: [{name: accesslog, config: {output: /nowhere/at/all}}]")
	if status, _, stderr := moe(t, "validate", "-c", file); status != 1 || !strings.Contains(stderr, "output: ") {
		t.Errorf("validate: got status %d and %q, want 1 and the field output", status, stderr)
	}
	status, stdout, stderr := moe(t, "validate", "--config-only", "-c", file)
	if status != 0 || stdout != file+" is valid\n" {
		t.Errorf("validate --config-only: got status %d, %s%s; want 0", status, stdout, stderr)
	}
}

const demo = "../../../docs/demo/moe.yaml"

func TestPrintConfig(t *testing.T) {
	status, stdout, stderr := moe(t, "run", "--print-config", "-c", demo, "--admin", "127.0.0.1:9901")
	if status != 0 || stderr != "" {
		t.Fatalf("got status %d and %q, want 0 and no errors", status, stderr)
	}
	for _, want := range []string{
		"# upstream: echo", "port_value: 9901", "name: tokenauth", "filter_name: moe", "port_value: 10001",
	} {
		t.Run(want, func(t *testing.T) {
			if !strings.Contains(stdout, want) {
				t.Errorf("the configuration lacks %q", want)
			}
		})
	}
	// With --no-validate, Envoy checks what this moe does not know.
	file := write(t, "{upstream: 'http://example.com', plugins: [{name: theirs}]}")
	status, stdout, stderr = moe(t, "run", "--print-config", "--no-validate", "-c", file)
	if status != 0 || !strings.Contains(stdout, "name: theirs") || strings.HasPrefix(stdout, "#") {
		t.Errorf("--no-validate: got status %d, %s%s; want 0, the plugin theirs, and no echo server", status, stdout, stderr)
	}
}

func TestPrintConfigForGolang(t *testing.T) {
	args := []string{"run", "--host", "golang", "--print-config", "-c", demo}
	status, stdout, stderr := moe(t, args...)
	if status != 0 || stderr != "" {
		t.Fatalf("got status %d and %q, want 0 and no errors", status, stderr)
	}
	for _, want := range []string{
		"envoy.extensions.filters.http.golang.v3alpha.Config", "library_path: /usr/local/lib/libmoe.so", "plugin_name: moe",
		"xds.type.v3.TypedStruct", "name: tokenauth",
	} {
		t.Run(want, func(t *testing.T) {
			if !strings.Contains(stdout, want) {
				t.Errorf("the configuration lacks %q", want)
			}
		})
	}
	if strings.Contains(stdout, "dynamic_module") {
		t.Error("the configuration for the Golang filter has a dynamic module")
	}
	_, stdout, _ = moe(t, append(args, "--module", "/opt/moe-1.2.so")...)
	if !strings.Contains(stdout, "library_path: /opt/moe-1.2.so") {
		t.Error("library_path is not the path that --module gives")
	}
	status, _, stderr = moe(t, "run", "--host", "wasm", "-c", demo)
	if status == 0 || !strings.Contains(stderr, `--host: "wasm"`) {
		t.Errorf("run --host wasm: got status %d and %q, want an error about --host", status, stderr)
	}
	status, _, stderr = moe(t, "run", "--host", "golang", "-c", demo, "--module", write(t, "no module"), "--envoy", "/bin/true")
	if status != 1 || !strings.Contains(stderr, "make bridge") {
		t.Errorf("without a bridge: got status %d and %q, want 1 and make bridge", status, stderr)
	}
}

// Both run and validate report what the host cannot do, before an Envoy starts.
func TestChecksForTheHost(t *testing.T) {
	calls := write(t, "plugins: [{name: needscallouts}]")
	pipes := write(t, "plugins: [{name: needspipes}]")
	const lacks = "plugins[0]: needs %s, which this host cannot"
	for _, c := range []struct{ name, file, host, want string }{
		{name: "callouts in dynmod", file: calls, host: "dynmod"},
		{name: "callouts in golang", file: calls, host: "golang", want: fmt.Sprintf(lacks, "CanCallout")},
		{name: "prompt pipes in dynmod", file: pipes, host: "dynmod", want: fmt.Sprintf(lacks, "CanPipePromptly")},
		{name: "prompt pipes in golang", file: pipes, host: "golang"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, args := range [][]string{{"run", "--print-config"}, {"validate"}} {
				t.Run(strings.Join(args, " "), func(t *testing.T) {
					status, _, stderr := moe(t, append(args, "--host", c.host, "-c", c.file)...)
					if (status == 0) != (c.want == "") || !strings.Contains(stderr, c.want) {
						t.Errorf("%v for %s: got status %d and %q, want %q", args, c.host, status, stderr, c.want)
					}
				})
			}
		})
	}
	if status, _, stderr := moe(t, "validate", "--host", "wasm", "-c", calls); status == 0 ||
		!strings.Contains(stderr, `--host: "wasm"`) {
		t.Errorf("validate --host wasm: got status %d and %q, want an error about --host", status, stderr)
	}
}

// For dynamic modules, a file's secrets are in the document; for the Golang filter, they are a field of the filter.
func TestPrintConfigWithSecrets(t *testing.T) {
	file := write(t, "plugins: [{name: hello}]\ngeneric_secrets: [{name: key, sds_config: {path_config_source: {path: /x}}}]")
	within := func(t *testing.T, text, name string) string { // the lines below a key that are indented under it
		t.Helper()
		_, below, ok := strings.Cut(text, name+":\n")
		if !ok {
			t.Fatalf("no %s in %s", name, text)
		}
		indent := len(below) - len(strings.TrimLeft(below, " "))
		var b strings.Builder
		for line := range strings.Lines(below) {
			if len(line)-len(strings.TrimLeft(line, " ")) < indent {
				break
			}
			b.WriteString(line)
		}
		return b.String()
	}
	for host, documentHasThem := range map[string]bool{"dynmod": true, "golang": false} {
		t.Run(host, func(t *testing.T) {
			status, stdout, stderr := moe(t, "run", "--print-config", "--host", host, "-c", file)
			if status != 0 || strings.Count(stdout, "generic_secrets:") != 1 || !strings.Contains(stdout, "path: /x") {
				t.Fatalf("%s: status %d, %s%s", host, status, stdout, stderr)
			}
			document := map[string]string{"dynmod": "filter_config", "golang": "plugin_config"}[host]
			if got := strings.Contains(within(t, stdout, document), "generic_secrets:"); got != documentHasThem {
				t.Errorf("%s: generic_secrets in the document: got %v, want %v:\n%s", host, got, documentHasThem, stdout)
			}
		})
	}
}

func TestRunNeedsItsParts(t *testing.T) {
	t.Setenv("ENVOY", "/nowhere/envoy")
	module := write(t, "no module")
	for want, args := range map[string]string{
		"--module: stat /nowhere.so":  "--module /nowhere.so",
		"ENVOY /nowhere/envoy":        "--module " + module,
		"--envoy /nowhere/else":       "--envoy /nowhere/else --module " + module,
		"admin: \"x\": expected HOST": "--admin x --envoy /bin/true --module " + module,
		"starting Envoy: it exited":   "--envoy /bin/true --module " + module,
	} {
		t.Run(want, func(t *testing.T) {
			args := append([]string{"run", "-c", demo}, strings.Fields(args)...)
			if status, _, stderr := moe(t, args...); status != 1 || !strings.Contains(stderr, want) {
				t.Errorf("%v: got status %d and %q, want 1 and %q", args, status, stderr, want)
			}
		})
	}
}

func TestVet(t *testing.T) {
	dir := t.TempDir()
	plugin := "package p\n\nimport _ \"mosn.io/moe/framework/filter\"\n\nfunc f() { go f() }\n"
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte(plugin), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	status, stdout, stderr := moe(t, "vet", dir)
	if status != 1 || !strings.HasPrefix(stdout, filepath.Join(dir, "p.go")+":5:") || stderr != "moe: 1 found\n" {
		t.Errorf("moe vet of a bad plugin: got status %d, %s%s; want 1 and one finding", status, stdout, stderr)
	}
	t.Chdir(t.TempDir())
	if status, stdout, stderr := moe(t, "vet"); status != 0 || stdout != "" {
		t.Errorf("moe vet of an empty folder: got status %d, %s%s; want 0 and no findings", status, stdout, stderr)
	}
}

// TestRunRefuses lists what run refuses before it starts an Envoy.
func TestRunRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	free := write(t, "{listen: 127.0.0.1:0, plugins: [{name: hello}]}")
	_, port, _ := net.SplitHostPort(addr)
	for _, c := range []struct {
		name, want string
		args       []string
	}{
		{name: "port in use", want: "listen: " + addr + " is in use", args: []string{"-c", write(t, "{listen: "+addr+", plugins: [{name: hello}]}")}},
		{
			name: "port in use on one of all addresses", want: "listen: :" + port + " is in use",
			args: []string{"-c", write(t, "{listen: ':"+port+"', plugins: [{name: hello}]}")},
		},
		{
			name: "port in use on localhost", want: "listen: " + addr + " is in use",
			args: []string{"-c", write(t, "{listen: localhost:"+port+", plugins: [{name: hello}]}")},
		},
		{name: "admin port in use", want: "--admin: " + addr + " is in use", args: []string{"-c", free, "--admin", addr}},
		{name: "too many threads", want: "--concurrency 100000: give 1 to 1024", args: []string{"-c", free, "--concurrency", "100000"}},
		{name: "fewer than no threads", want: "--concurrency -1: give 1 to 1024", args: []string{"-c", free, "--concurrency", "-1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, stdout, stderr := moe(t, append([]string{"run", "--envoy", "/bin/false"}, c.args...)...)
			if status != 1 || stdout != "" || !strings.Contains(stderr, c.want) {
				t.Errorf("got status %d, %q and %q; want status 1 and the error %q", status, stdout, stderr, c.want)
			}
		})
	}
}

// Relative paths in a file are relative to its folder, whatever the working directory.
func TestRelativePaths(t *testing.T) {
	file := write(t, "plugins: [{name: tokenauth, config: {secret: {file: secrets/token}}}]")
	secret := filepath.Join(filepath.Dir(file), "secrets", "token")
	if err := os.Mkdir(filepath.Dir(secret), 0o755); err != nil {
		t.Fatalf("os.Mkdir: %v", err)
	}
	dir := t.TempDir()
	t.Chdir(dir)
	status, _, stderr := moe(t, "validate", "-c", file)
	if status != 1 || !strings.HasPrefix(stderr, "moe: "+file+":1:38: plugins[0].config.secret: secret file ") {
		t.Errorf("without the secret file: got status %d and %q, want 1 and its place", status, stderr)
	}
	if status, _, stderr := moe(t, "validate", "--without-secrets", "-c", file); status != 0 {
		t.Errorf("--without-secrets: got status %d and %q, want 0", status, stderr)
	}
	if err := os.WriteFile(secret, []byte("open sesame"), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	if status, _, stderr := moe(t, "validate", "-c", file); status != 0 {
		t.Errorf("with the secret file: got status %d and %q, want 0", status, stderr)
	}
	if status, _, stderr := moe(t, "extproc", "--print-config", "-c", file); status != 0 {
		t.Errorf("extproc: got status %d and %q, want 0", status, stderr)
	}
	if now, err := os.Getwd(); err != nil || now != dir {
		t.Errorf("the working directory: got %s and error %v, want %s", now, err, dir)
	}
}

// TestSplit: --split writes the files that Envoy watches, and later only those that have changed.
func TestSplit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	file := write(t, "upstream: 127.0.0.1:1\nplugins: [{name: hello}]\n")
	split := func(want ...string) {
		t.Helper()
		status, stdout, stderr := moe(t, "run", "--print-config", "--split", dir, "-c", file)
		var names []string
		for line := range strings.Lines(stdout) {
			names = append(names, filepath.Base(strings.TrimSpace(line)))
		}
		if status != 0 || !slices.Equal(names, want) {
			t.Errorf("moe run --split: got status %d and files %q, want %q:\n%s", status, names, want, stderr)
		}
	}
	split("clusters.yaml", "filter-moe.yaml", "routes-moe.yaml", "listeners.yaml", "bootstrap.yaml")
	split()
	if err := os.WriteFile(file, []byte("upstream: 127.0.0.1:2\nplugins: [{name: hello}]\n"), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	split("clusters.yaml")
	if status, _, stderr := moe(t, "run", "--split", dir, "-c", file); status != 1 || !strings.Contains(stderr, "--print-config") {
		t.Errorf("--split without --print-config: got status %d and %q, want 1 and --print-config", status, stderr)
	}
}
