package dynmod

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	_ "github.com/envoyproxy/envoy/source/extensions/dynamic_modules/abi" // brings Envoy's abi.h into the module cache
)

// upstreamHeader finds Envoy's own declaration of the ABI.
func upstreamHeader(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}",
		"github.com/envoyproxy/envoy/source/extensions/dynamic_modules/abi").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "abi.h")
}

func compile(t *testing.T, source string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "check.c")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "cc"
	}
	out, err := exec.Command(cc, "-std=gnu11", "-fsyntax-only", "-Wall", "-Werror", file).CombinedOutput()
	return string(out), err
}

func ourHeader(t *testing.T) (path, text string) {
	t.Helper()
	path, err := filepath.Abs("abi.h")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, string(b)
}

// Every hook and callback that we declare has Envoy's signature: C refuses to declare a function in two ways.
func TestSignatures(t *testing.T) {
	ours, text := ourHeader(t)
	theirs := upstreamHeader(t)
	both := "#include \"" + theirs + "\"\n#define MOE_ABI_TYPES_GIVEN\n#include \"" + ours + "\"\n"
	if out, err := compile(t, both); err != nil {
		t.Errorf("abi.h differs from Envoy's: %s", out)
	}
	// The check can fail: with one parameter changed, it does.
	wrong := filepath.Join(t.TempDir(), "wrong.h")
	changed := strings.Replace(text, "CB(http_get_header_size)", "", 1)
	changed = strings.Replace(changed, "CB(http_get_headers_size)(void *, ", "CB(http_get_headers_size)(int, ", 1)
	if err := os.WriteFile(wrong, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := compile(t, strings.Replace(both, ours, wrong, 1)); err == nil {
		t.Error("a wrong signature compiles")
	}
}

// Every constant and every member of a struct is where Envoy has it.
func TestTypes(t *testing.T) {
	ours, text := ourHeader(t)
	var b strings.Builder
	b.WriteString("#include \"" + upstreamHeader(t) + "\"\n")
	types, _, _ := strings.Cut(text, "#endif // MOE_ABI_TYPES_GIVEN")
	constants := 0
	for _, m := range regexp.MustCompile(`(?m)^  (envoy_\w+) = (\d+),`).FindAllStringSubmatch(types, -1) {
		b.WriteString("_Static_assert(" + m[1] + " == " + m[2] + ", \"" + m[1] + "\");\n")
		constants++
	}
	for _, m := range regexp.MustCompile(`(?s)typedef struct \{(.*?)\} (\w+);`).FindAllStringSubmatch(types, -1) {
		b.WriteString("typedef struct {" + m[1] + "} ours_" + m[2] + ";\n")
		b.WriteString("_Static_assert(sizeof(ours_" + m[2] + ") == sizeof(" + m[2] + "), \"size\");\n")
		for _, f := range regexp.MustCompile(`\W(\w+);`).FindAllStringSubmatch(m[1], -1) {
			at := "offsetof(%" + m[2] + ", " + f[1] + ")"
			b.WriteString("_Static_assert(" + strings.Replace(at, "%", "ours_", 1) + " == " +
				strings.Replace(at, "%", "", 1) + ", \"" + f[1] + "\");\n")
		}
	}
	if constants < 30 || !strings.Contains(b.String(), "value_length") {
		t.Fatalf("%s was not understood", ours)
	}
	if out, err := compile(t, b.String()); err != nil {
		t.Errorf("abi.h differs from Envoy's: %s", out)
	}
	version := regexp.MustCompile(`ENVOY_DYNAMIC_MODULES_ABI_VERSION "([^"]+)"`)
	upstream, err := os.ReadFile(upstreamHeader(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := version.FindStringSubmatch(text)[1], version.FindStringSubmatch(string(upstream))[1]; got != want {
		t.Errorf("ABI version %s, Envoy's is %s", got, want)
	}
}

// The names of attributes stand in the order of Envoy's enumeration.
func TestAttributeOrder(t *testing.T) {
	upstream, err := os.ReadFile(upstreamHeader(t))
	if err != nil {
		t.Fatal(err)
	}
	_, enum, _ := strings.Cut(string(upstream), "typedef enum envoy_dynamic_module_type_attribute_id {")
	enum, _, _ = strings.Cut(enum, "}")
	var want []string
	for _, m := range regexp.MustCompile(`// ([a-z_0-9.]+)\n`).FindAllStringSubmatch(enum, -1) {
		want = append(want, m[1])
	}
	if !slices.Equal(attributes, want) {
		t.Errorf("got  %v\nwant %v", attributes, want)
	}
}
