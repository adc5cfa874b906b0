package exchange

import "testing"

func TestReplyIsBounded(t *testing.T) {
	const limit = 64 << 20
	r := &Reply{Begun: true, Limit: limit}
	for range 65 {
		r.add(make([]byte, 1<<20), false)
		if r.End {
			break
		}
	}
	r.add([]byte("more"), false)
	if !r.TooLarge || !r.End || r.Body != nil {
		t.Errorf("after 65 MiB with a limit of 64: too large %t, end %t, %d bytes; want true, true, none", r.TooLarge, r.End, len(r.Body))
	}
}
