package network

import (
	"fmt"
	"testing"

	_ "github.com/envoyproxy/envoy/source/extensions/dynamic_modules/abi" // brings Envoy's abi.h into the module cache

	"mosn.io/moe/framework/host/internal/abitest"
	"mosn.io/moe/framework/network"
)

// Every hook and callback that we declare has Envoy's signature.
func TestSignatures(t *testing.T) {
	theirs, ours := abitest.Headers(t)
	abitest.Signatures(t, theirs, ours, "NF(drain_read_buffer)(void *, size_t)", "NF(drain_read_buffer)(void *, int)")
}

// Every constant is Envoy's.
func TestTypes(t *testing.T) {
	theirs, ours := abitest.Headers(t)
	if n := abitest.Types(t, theirs, ours); n != 7 {
		t.Errorf("%d constants are compared, want 7", n)
	}
}

// C and Go number the events alike.
func TestWants(t *testing.T) {
	const source = `#include "conn.h"
_Static_assert(WANT_CONNECTION == %d && WANT_READ == %d && WANT_WRITE == %d && WANT_CLOSE == %d && WANT_WATERMARK == %d, "events");
`
	wants := []any{network.WantConnection, network.WantRead, network.WantWrite, network.WantClose, network.WantWatermark}
	if out, err := abitest.Compile(t, fmt.Sprintf(source, wants...)); err != nil {
		t.Errorf("C numbers events otherwise: %s", out)
	}
	wants[0] = network.WantRead
	if _, err := abitest.Compile(t, fmt.Sprintf(source, wants...)); err == nil {
		t.Error("a wrong number compiles")
	}
}
