package testcheck

import "testing"

// TestLoops fails for each loop over cases that fails its test, in place of a subtest.
func TestLoops(t *testing.T) {
	found, err := FindLoops("../..")
	if err != nil {
		t.Fatalf("read the repository: %v", err)
	}
	for _, l := range found {
		t.Errorf("%s: the loop over %s fails the test itself: give each case a name, with t.Run", at(l.Pos), l.Over)
	}
}

func TestFindsLoops(t *testing.T) {
	for _, c := range []struct {
		loop string
		want bool
	}{
		{loop: `for _, c := range []int{1} { t.Error(c, "is bad") }`, want: true},
		{loop: `for k, v := range map[string]int{"a": 1} { if v > 0 { t.Fatalf("%s is bad", k) } }`, want: true},
		{loop: `for _, c := range ([]int{1}) { t.Error(c, "is bad") }`, want: true},
		{loop: `for _, c := range cases { t.Error(c, "is bad") }`, want: true},
		{loop: `for _, c := range goodCases { t.FailNow() }`, want: true},
		{loop: `for _, tt := range tests { f.Error(tt, "is bad") }`, want: true},
		{loop: `for _, c := range cases { func() { t.Error(c, "is bad") }() }`, want: true},
		{
			loop: `for _, c := range cases { t.Error("bad"); t.Run(c, func(t *testing.T) { t.Error("bad") }) }`,
			want: true,
		},
		{loop: `for _, c := range cases { t.Run(c, func(t *testing.T) { t.Error("bad") }) }`},
		{loop: `for _, c := range cases { b.Run(c, func(b *testing.B) { b.Error("bad") }) }`},
		{loop: `for _, c := range cases { check(t, c) }`},
		{loop: `for _, c := range cases { s.Error(c, "is bad") }`},
		{loop: `for _, c := range read() { t.Error(c, "is bad") }`},
		{loop: `for _, line := range lines { t.Error(line, "is bad") }`},
		{loop: `for i := range 3 { t.Error(i, "is bad") }`},
	} {
		t.Run(c.loop, func(t *testing.T) {
			src := "package p\nimport \"testing\"\nfunc _(t *testing.T) { " + c.loop + " }\n"
			found, err := loops("x_test.go", src)
			if err != nil {
				t.Fatalf("parse: %v", err)
			}
			if got := len(found) == 1; got != c.want {
				t.Errorf("got %v, want a loop without names: %v", found, c.want)
			}
		})
	}
}
