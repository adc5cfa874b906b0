package certvalidator

import (
	"testing"

	_ "github.com/envoyproxy/envoy/source/extensions/dynamic_modules/abi" // brings Envoy's abi.h into the module cache

	"mosn.io/moe/framework/host/internal/abitest"
)

// Every hook and callback that we declare has Envoy's signature.
func TestSignatures(t *testing.T) {
	theirs, ours := abitest.Headers(t)
	abitest.Signatures(t, theirs, ours, "update_digest)(const void *config, mbuf", "update_digest)(const void *config, ebuf")
}

// Every constant and every member of a struct is where Envoy has it.
func TestTypes(t *testing.T) {
	theirs, ours := abitest.Headers(t)
	abitest.Types(t, theirs, ours)
}
