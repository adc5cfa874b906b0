package dynmod

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	_ "github.com/envoyproxy/envoy/source/extensions/dynamic_modules/abi" // brings Envoy's abi.h into the module cache

	"mosn.io/moe/framework/host/internal/abitest"
)

// Every hook and callback that we declare has Envoy's signature: C refuses to declare a function in two ways.
func TestSignatures(t *testing.T) {
	theirs, ours := abitest.Headers(t)
	abitest.Signatures(t, theirs, ours, "CB(http_get_headers_size)(void *, ", "CB(http_get_headers_size)(int, ")
}

// Every constant and every member of a struct is where Envoy has it.
func TestTypes(t *testing.T) {
	theirs, ours := abitest.Headers(t)
	text := abitest.Read(t, ours)
	if constants := abitest.Types(t, theirs, ours); constants < 30 {
		t.Fatalf("%d constants in %s, want 30 or more", constants, ours)
	}
	version := regexp.MustCompile(`ENVOY_DYNAMIC_MODULES_ABI_VERSION "([^"]+)"`)
	upstream := abitest.Read(t, theirs)
	if got, want := version.FindStringSubmatch(text)[1], version.FindStringSubmatch(upstream)[1]; got != want {
		t.Errorf("ABI version %s, Envoy's is %s", got, want)
	}
}

// The names of attributes stand in the order of Envoy's enumeration.
func TestAttributeOrder(t *testing.T) {
	theirs, _ := abitest.Headers(t)
	upstream := abitest.Read(t, theirs)
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
