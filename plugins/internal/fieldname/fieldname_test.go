package fieldname

import "testing"

func TestCheck(t *testing.T) {
	for name, ok := range map[string]bool{
		"token": true, "X-Api-Key": true, "x_1.~": true, "": false, ":path": false, "a b": false, "a:": false,
		"a\n": false, "é": false, "a@b": false, "[": false, "{": false, "a\x7f": false, "@": false,
	} {
		if err := Check(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestValidValue(t *testing.T) {
	for v, ok := range map[string]bool{"": true, "a b\t\xff": true, "a\r": false, "a\nb": false, "\x00": false} {
		if ValidValue(v) != ok {
			t.Errorf("%q: %v", v, !ok)
		}
	}
}
