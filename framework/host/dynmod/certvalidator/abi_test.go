package certvalidator

import (
	"path/filepath"
	"testing"

	_ "github.com/envoyproxy/envoy/source/extensions/dynamic_modules/abi" // brings Envoy's abi.h into the module cache

	"mosn.io/moe/framework/host/internal/abitest"
)

func headers(t *testing.T) (theirs, ours string) {
	t.Helper()
	theirs = filepath.Join(abitest.Dir(t, "github.com/envoyproxy/envoy/source/extensions/dynamic_modules/abi"), "abi.h")
	ours, err := filepath.Abs("abi.h")
	if err != nil {
		t.Fatalf("finding abi.h: %v", err)
	}
	return theirs, ours
}

// Every hook and callback that we declare has Envoy's signature.
func TestSignatures(t *testing.T) {
	theirs, ours := headers(t)
	abitest.Signatures(t, theirs, ours, "update_digest)(const void *config, mbuf", "update_digest)(const void *config, ebuf")
}

// Every constant and every member of a struct is where Envoy has it.
func TestTypes(t *testing.T) {
	theirs, ours := headers(t)
	abitest.Types(t, theirs, ours)
}
