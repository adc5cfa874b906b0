package bootstrap

import (
	"testing"

	_ "github.com/envoyproxy/envoy/source/extensions/dynamic_modules/abi" // brings Envoy's abi.h into the module cache

	"mosn.io/moe/framework/host/internal/abitest"
)

// Every hook and callback that we declare has Envoy's signature.
func TestSignatures(t *testing.T) {
	theirs, ours := abitest.Headers(t)
	abitest.Signatures(t, theirs, ours, "BE(admin_set_response)(void *, mbuf)", "BE(admin_set_response)(void *, ebuf)")
}
