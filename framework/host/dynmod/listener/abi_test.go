package listener

import (
	"fmt"
	"testing"

	_ "github.com/envoyproxy/envoy/source/extensions/dynamic_modules/abi" // brings Envoy's abi.h into the module cache

	"mosn.io/moe/framework/host/internal/abitest"
	"mosn.io/moe/framework/listener"
)

// Every hook and callback that we declare has Envoy's signature.
func TestSignatures(t *testing.T) {
	theirs, ours := abitest.Headers(t)
	abitest.Signatures(t, theirs, ours, "LF(drain_buffer)(void *, size_t)", "LF(drain_buffer)(void *, int)")
}

// Every constant is Envoy's.
func TestTypes(t *testing.T) {
	theirs, ours := abitest.Headers(t)
	if n := abitest.Types(t, theirs, ours); n != 2 {
		t.Errorf("%d constants are compared, want 2", n)
	}
}

// C and Go number verdicts alike.
func TestNumbers(t *testing.T) {
	const source = `#include "socket.h"
_Static_assert(VERDICT_WAIT == %d && VERDICT_PASS == %d && VERDICT_CLOSE == %d, "verdicts");
`
	verdicts := []any{listener.Wait, listener.Pass, listener.Close}
	if out, err := abitest.Compile(t, fmt.Sprintf(source, verdicts...)); err != nil {
		t.Errorf("C numbers verdicts otherwise: %s", out)
	}
	verdicts[0] = listener.Pass
	if _, err := abitest.Compile(t, fmt.Sprintf(source, verdicts...)); err == nil {
		t.Error("a wrong number compiles")
	}
}
