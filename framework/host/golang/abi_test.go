package golang

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mosn.io/moe/framework/host/internal/abitest"
)

// golangModule finds the folder contrib/golang of Envoy's module, or of the older one in the module cache.
func golangModule(t *testing.T) string {
	t.Helper()
	dir := abitest.Dir(t, "github.com/envoyproxy/envoy/contrib/golang/common/go/api")
	return filepath.Dir(filepath.Dir(filepath.Dir(dir)))
}

func apiHeader(t *testing.T) string { return filepath.Join(golangModule(t), "common/go/api/api.h") }

// Every constant and every member of a struct is where Envoy has it.
func TestTypes(t *testing.T) {
	ours := abitest.Read(t, "abi.h")
	types, _, ok := strings.Cut(ours, "#endif // MOE_ABI_TYPES_GIVEN")
	if !ok {
		t.Fatal("abi.h has changed its form")
	}
	var b strings.Builder
	b.WriteString("#include <stddef.h>\n#include \"" + apiHeader(t) + "\"\n")
	n := 0
	for _, m := range regexp.MustCompile(`(?m)^  (\w+) = (-?\d+),`).FindAllStringSubmatch(types, -1) {
		b.WriteString("_Static_assert(" + m[1] + " == " + m[2] + ", \"" + m[1] + "\");\n")
		n++
	}
	for _, m := range regexp.MustCompile(`(?s)typedef struct (?:\w+ )?\{(.*?)\} (\w+);`).FindAllStringSubmatch(types, -1) {
		b.WriteString("typedef struct {" + m[1] + "} ours_" + m[2] + ";\n")
		b.WriteString("_Static_assert(sizeof(ours_" + m[2] + ") == sizeof(" + m[2] + "), \"size\");\n")
		for _, f := range regexp.MustCompile(`\W(\w+);`).FindAllStringSubmatch(m[1], -1) {
			b.WriteString("_Static_assert(offsetof(ours_" + m[2] + ", " + f[1] + ") == offsetof(" + m[2] + ", " + f[1] +
				"), \"" + f[1] + "\");\n")
			n++
		}
	}
	if n != 15+16 {
		t.Fatalf("abi.h was not understood: %d constants and members", n)
	}
	if out, err := abitest.Compile(t, b.String()); err != nil {
		t.Errorf("abi.h differs from Envoy's: %s", out)
	}
	wrong := strings.Replace(b.String(), "CAPIYield == -6", "CAPIYield == -5", 1)
	if _, err := abitest.Compile(t, wrong); err == nil {
		t.Error("a wrong constant compiles")
	}
}

// Each function that Envoy looks up in a library for HTTP is one of ours, with Envoy's signature.
func TestExports(t *testing.T) {
	dso := abitest.Read(t, filepath.Join(golangModule(t), "common/dso/dso.cc"))
	_, dso, _ = strings.Cut(dso, "HttpFilterDsoImpl::HttpFilterDsoImpl")
	dso, _, _ = strings.Cut(dso, "\n}")
	var want []string
	for _, m := range regexp.MustCompile(`"(envoyGo\w+)"`).FindAllStringSubmatch(dso, -1) {
		want = append(want, m[1])
	}
	var got []string
	ours := abitest.Read(t, "exports.h")
	for _, m := range regexp.MustCompile(`\b(envoyGo\w+)\(`).FindAllStringSubmatch(ours, -1) {
		got = append(got, m[1])
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) || len(got) == 0 {
		t.Errorf("exports.h has %v\nEnvoy wants %v", got, want)
	}
	theirs := abitest.Read(t, filepath.Join(golangModule(t), "common/dso/libgolang.h"))
	var b strings.Builder
	b.WriteString("#include \"exports.h\"\n")
	for _, name := range want {
		m := regexp.MustCompile(`extern \w+ ` + name + `\([^)]*\);`).FindString(theirs)
		b.WriteString(strings.NewReplacer("GoUint64", "uint64_t", "GoInt64", "int64_t", "GoInt", "int64_t").Replace(m) + "\n")
	}
	if out, err := abitest.Compile(t, b.String()); err != nil {
		t.Errorf("exports.h differs from Envoy's libgolang.h: %s", out)
	}
	if _, err := abitest.Compile(t, strings.Replace(b.String(), "uint64_t end_stream", "int end_stream", 1)); err == nil {
		t.Error("a wrong signature compiles")
	}
}

// Each trampoline has the signature of Envoy's function, and none is missing.
func TestTrampolines(t *testing.T) {
	api := abitest.Read(t, apiHeader(t))
	var b strings.Builder
	b.WriteString("#include \"" + apiHeader(t) + "\"\n#define MOE_ABI_TYPES_GIVEN\n#include \"host.h\"\n")
	n := 0
	for _, m := range regexp.MustCompile(`\b(envoyGo\w+)\(`).FindAllStringSubmatch(api, -1) {
		name := m[1]
		if !strings.HasPrefix(name, "envoyGoFilterHttp") && !strings.HasPrefix(name, "envoyGoConfigHttp") &&
			!strings.HasPrefix(name, "envoyGoFilterLog") {
			continue
		}
		n++
		ours := "golang_host_" + strings.TrimPrefix(name, "envoyGo")
		if name == "envoyGoFilterLogLevel" { // Envoy declares it without a prototype
			continue
		}
		b.WriteString("_Static_assert(__builtin_types_compatible_p(__typeof__(" + ours + "), __typeof__(" + name +
			")), \"" + name + "\");\n")
	}
	if n < 30 {
		t.Fatalf("%s was not understood", apiHeader(t))
	}
	if out, err := abitest.Compile(t, b.String()); err != nil {
		t.Errorf("host.h is not of Envoy's api.h; run `make generate`: %s", out)
	}
	if declared := strings.Count(abitest.Read(t, "host.h"), "golang_host_Filter") +
		strings.Count(abitest.Read(t, "host.h"), "golang_host_Config"); declared != n {
		t.Errorf("host.h has %d functions, Envoy %d: run `make generate`", declared, n)
	}
}
