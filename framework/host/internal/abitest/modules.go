package abitest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Headers returns the paths of Envoy's header of the ABI for dynamic modules, which the test's package imports to have it in
// the module cache, and of ours, in the folder of the test's package.
func Headers(t *testing.T) (theirs, ours string) {
	t.Helper()
	theirs = filepath.Join(Dir(t, "github.com/envoyproxy/envoy/source/extensions/dynamic_modules/abi"), "abi.h")
	ours, err := filepath.Abs("abi.h")
	if err != nil {
		t.Fatalf("finding abi.h: %v", err)
	}
	return theirs, ours
}

// Signatures has C compare the declarations in our header of the ABI for dynamic modules with Envoy's: it refuses to
// declare a function in two ways. With wrong in place of right, our header must not compile: so the check can fail.
func Signatures(t *testing.T, theirs, ours, right, wrong string) {
	t.Helper()
	both := "#include \"" + theirs + "\"\n#define MOE_ABI_TYPES_GIVEN\n#include \"" + ours + "\"\n"
	if out, err := Compile(t, both); err != nil {
		t.Errorf("%s differs from Envoy's: %s", ours, out)
	}
	text := Read(t, ours)
	changed := strings.Replace(text, right, wrong, 1)
	if changed == text {
		t.Fatalf("%s has no %q", ours, right)
	}
	// Beside the header, for what that includes.
	file, err := os.CreateTemp(filepath.Dir(ours), "wrong-*.h")
	if err != nil {
		t.Fatalf("os.CreateTemp: %v", err)
	}
	defer os.Remove(file.Name())
	if _, err := file.WriteString(changed); err != nil {
		t.Fatalf("writing the wrong header: %v", err)
	}
	if err := file.Close(); err != nil {
		t.Fatalf("closing the wrong header: %v", err)
	}
	if _, err := Compile(t, strings.Replace(both, ours, file.Name(), 1)); err == nil {
		t.Error("a wrong signature compiles")
	}
}

var (
	constant = regexp.MustCompile(`(?m)^  (envoy_\w+) = (\d+),`)
	structs  = regexp.MustCompile(`(?s)typedef struct \{([^}]*)\} (\w+);`)
	member   = regexp.MustCompile(`\W(\w+);`)
)

// Types has C compare the constants and the members of structs in our header of the ABI for dynamic modules with Envoy's,
// and returns how many constants it compared.
func Types(t *testing.T, theirs, ours string) (constants int) {
	t.Helper()
	types, _, ok := strings.Cut(Read(t, ours), "#endif // MOE_ABI_TYPES_GIVEN")
	if !ok {
		t.Fatalf("%s has changed its form", ours)
	}
	var b strings.Builder
	b.WriteString("#include \"" + theirs + "\"\n")
	for _, m := range constant.FindAllStringSubmatch(types, -1) {
		b.WriteString("_Static_assert(" + m[1] + " == " + m[2] + ", \"" + m[1] + "\");\n")
		constants++
	}
	found := structs.FindAllStringSubmatch(types, -1)
	if len(found) == 0 && constants == 0 {
		t.Fatalf("neither a struct nor a constant was found in %s", ours)
	}
	for _, m := range found {
		b.WriteString("typedef struct {" + m[1] + "} ours_" + m[2] + ";\n")
		b.WriteString("_Static_assert(sizeof(ours_" + m[2] + ") == sizeof(" + m[2] + "), \"size\");\n")
		for _, f := range member.FindAllStringSubmatch(m[1], -1) {
			at := "offsetof(%" + m[2] + ", " + f[1] + ")"
			b.WriteString("_Static_assert(" + strings.Replace(at, "%", "ours_", 1) + " == " +
				strings.Replace(at, "%", "", 1) + ", \"" + f[1] + "\");\n")
		}
	}
	if out, err := Compile(t, b.String()); err != nil {
		t.Errorf("%s differs from Envoy's: %s", ours, out)
	}
	return constants
}
