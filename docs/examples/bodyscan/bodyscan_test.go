package bodyscan

import (
	"fmt"
	"strings"
	"testing"

	"mosn.io/moe/framework/filtertest"
)

func TestBodyScan(t *testing.T) {
	for chunk := range 20 {
		h := filtertest.New(t, &BodyScan{Words: []string{"evil", "x"}})
		h.Chunk = chunk
		for body, want := range map[string]int{
			"an evil word": 403, "evil": 403, "ev-il": 200, "a devi'l word": 200, "lastevil": 403, "eevil": 403,
			strings.Repeat("evi", 100) + "l": 403, strings.Repeat("evi", 100): 200, "one x": 403, "": 200,
		} {
			t.Run(fmt.Sprintf("%.40q", body), func(t *testing.T) {
				if got := h.Post("/", body).Status; got != want {
					t.Errorf("chunks of %d, %q: got %d, want %d", chunk, body, got, want)
				}
			})
		}
	}
}

// A large body passes while no more than a few bytes of it are kept.
func TestLargeBody(t *testing.T) {
	h := filtertest.New(t, &BodyScan{Words: []string{"word"}})
	h.Chunk = 1 << 10
	if r := h.Post("/", strings.Repeat("wor", 1<<18)); r.Status != 200 || len(r.Sent) != 3<<18 {
		t.Errorf("r.Status = %d, want 200; got %d of r.Sent, want %d: %q", r.Status, len(r.Sent), 3<<18, r.Sent)
	}
}

func TestRefused(t *testing.T) {
	if new(filtertest.Host).Load(t, &BodyScan{Words: []string{""}}) == nil {
		t.Error("an empty word is accepted")
	}
}
