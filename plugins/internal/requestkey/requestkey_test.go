package requestkey

import "testing"

// Different requests have different keys, whatever is in them.
func FuzzText(f *testing.F) {
	f.Add("a", "b", "c", "d")
	f.Add("", "a", "a", "")
	f.Fuzz(func(t *testing.T, a1, a2, b1, b2 string) {
		a, b := text(text(nil, a1), a2), text(text(nil, b1), b2)
		if (string(a) == string(b)) != (a1 == b1 && a2 == b2) {
			t.Errorf("%q, %q and %q, %q: keys %q and %q", a1, a2, b1, b2, a, b)
		}
	})
}
