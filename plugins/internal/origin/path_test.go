package origin

import (
	"strings"
	"testing"
)

func FuzzSamePath(f *testing.F) {
	f.Add("/cb", "/%63b")
	f.Add("/a%2fb", "/a/b")
	f.Add("/%zz%", "/%")
	f.Fuzz(func(t *testing.T, a, b string) {
		if SamePath(a, b) != SamePath(b, a) && a != "" && b != "" {
			t.Errorf("SamePath(%q, %q) depends on the order", a, b)
		}
		if once := normalize(a); strings.Count(once, "/") != strings.Count(a, "/") {
			t.Errorf("normalize(%q) = %q has more or fewer slashes", a, once)
		}
	})
}
