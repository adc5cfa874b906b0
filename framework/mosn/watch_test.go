package mosn

import (
	"testing"
	"time"
)

// TestPace has the filters leave Envoy's thread after the third slow call within a minute, and for no single pause.
func TestPace(t *testing.T) {
	type slow struct{ began, ended time.Duration }
	const s = time.Second
	cases := map[string]struct {
		calls  []slow
		blocks bool
	}{
		"two calls":                      {calls: []slow{{began: 0, ended: s}, {began: 2 * s, ended: 3 * s}}},
		"three calls":                    {calls: []slow{{began: 0, ended: s}, {began: s, ended: 2 * s}, {began: 9 * s, ended: 10 * s}}, blocks: true},
		"three calls in one pause":       {calls: []slow{{began: 0, ended: 3 * s}, {began: s, ended: 4 * s}, {began: 2 * s, ended: 4 * s}}},
		"three calls in over a minute":   {calls: []slow{{began: 0, ended: s}, {began: 30 * s, ended: 31 * s}, {began: 60 * s, ended: 62 * s}}},
		"the last three within a minute": {calls: []slow{{began: 0, ended: s}, {began: 50 * s, ended: 51 * s}, {began: 61 * s, ended: 62 * s}, {began: 70 * s, ended: 71 * s}}, blocks: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := newPace(false)
			told := 0
			for _, call := range c.calls {
				if p.slow(call.began, call.ended) {
					told++
				}
			}
			if got := p.blocks.Load(); got != c.blocks || (told == 1) != c.blocks {
				t.Errorf("the filters run on goroutines: %t, told %d times; want %t, told once if so", got, told, c.blocks)
			}
		})
	}
}
