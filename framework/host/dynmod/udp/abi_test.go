package udp

import (
	"testing"

	_ "github.com/envoyproxy/envoy/source/extensions/dynamic_modules/abi" // brings Envoy's abi.h into the module cache

	"mosn.io/moe/framework/host/internal/abitest"
)

// Every hook and callback that we declare has Envoy's signature.
func TestSignatures(t *testing.T) {
	theirs, ours := abitest.Headers(t)
	abitest.Signatures(t, theirs, ours, "UF(send_datagram)(void *, mbuf, mbuf, uint32_t)", "UF(send_datagram)(void *, mbuf, mbuf, int)")
}

// Every constant is Envoy's.
func TestTypes(t *testing.T) {
	theirs, ours := abitest.Headers(t)
	if n := abitest.Types(t, theirs, ours); n != 2 {
		t.Errorf("%d constants are compared, want 2", n)
	}
}
