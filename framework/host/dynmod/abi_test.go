package dynmod

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	_ "github.com/envoyproxy/envoy/source/extensions/dynamic_modules/abi" // brings Envoy's abi.h into the module cache

	"mosn.io/moe/framework/host/internal/abitest"
)

// upstreamHeader finds Envoy's own declaration of the ABI.
func upstreamHeader(t *testing.T) string {
	t.Helper()
	return filepath.Join(abitest.Dir(t, "github.com/envoyproxy/envoy/source/extensions/dynamic_modules/abi"), "abi.h")
}

func ourHeader(t *testing.T) (path, text string) {
	t.Helper()
	path, err := filepath.Abs("abi.h")
	if err != nil {
		t.Fatalf("finding abi.h: %v", err)
	}
	return path, abitest.Read(t, path)
}

// Every hook and callback that we declare has Envoy's signature: C refuses to declare a function in two ways.
func TestSignatures(t *testing.T) {
	ours, text := ourHeader(t)
	theirs := upstreamHeader(t)
	both := "#include \"" + theirs + "\"\n#define MOE_ABI_TYPES_GIVEN\n#include \"" + ours + "\"\n"
	if out, err := abitest.Compile(t, both); err != nil {
		t.Errorf("abi.h differs from Envoy's: %s", out)
	}
	// The check can fail: with one parameter changed, it does.
	wrong := filepath.Join(t.TempDir(), "wrong.h")
	changed := strings.Replace(text, "CB(http_get_header_size)", "", 1)
	changed = strings.Replace(changed, "CB(http_get_headers_size)(void *, ", "CB(http_get_headers_size)(int, ", 1)
	if err := os.WriteFile(wrong, []byte(changed), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	if _, err := abitest.Compile(t, strings.Replace(both, ours, wrong, 1)); err == nil {
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
	if out, err := abitest.Compile(t, b.String()); err != nil {
		t.Errorf("abi.h differs from Envoy's: %s", out)
	}
	version := regexp.MustCompile(`ENVOY_DYNAMIC_MODULES_ABI_VERSION "([^"]+)"`)
	upstream := abitest.Read(t, upstreamHeader(t))
	if got, want := version.FindStringSubmatch(text)[1], version.FindStringSubmatch(upstream)[1]; got != want {
		t.Errorf("ABI version %s, Envoy's is %s", got, want)
	}
}

// The names of attributes stand in the order of Envoy's enumeration.
func TestAttributeOrder(t *testing.T) {
	upstream := abitest.Read(t, upstreamHeader(t))
	_, enum, _ := strings.Cut(upstream, "typedef enum envoy_dynamic_module_type_attribute_id {")
	enum, _, _ = strings.Cut(enum, "}")
	var want []string
	for _, m := range regexp.MustCompile(`// ([a-z_0-9.]+)\n`).FindAllStringSubmatch(enum, -1) {
		want = append(want, m[1])
	}
	if !slices.Equal(attributes, want) {
		t.Errorf("got  %v\nwant %v", attributes, want)
	}
}
