package fieldname

import (
	"fmt"
	"testing"
)

func TestCheck(t *testing.T) {
	for name, ok := range map[string]bool{
		"token": true, "X-Api-Key": true, "x_1.~": true, "": false, ":path": false, "a b": false, "a:": false,
		"a\n": false, "é": false, "a@b": false, "[": false, "{": false, "a\x7f": false, "@": false,
	} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			if err := Check(name); (err == nil) != ok {
				t.Errorf("%s, %v: err == nil = %v, want %v", name, err, (err == nil), ok)
			}
		})
	}
}

func TestCheckMethod(t *testing.T) {
	for _, c := range []struct {
		name, method string
		ok           bool
	}{
		{"standard", "GET", true},
		{"extension", "PROPFIND", true},
		{"extension in lower case", "propfind", true},
		{"standard in lower case", "get", false},
		{"standard in mixed case", "Patch", false},
		{"two", "GET POST", false},
		{"a list", "GET,POST", false},
		{"empty", "", false},
		{"pseudo-header", ":method", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := CheckMethod(c.method); (err == nil) != c.ok {
				t.Errorf("CheckMethod(%q) = %v, want an error: %v", c.method, err, !c.ok)
			}
		})
	}
}

func TestValidValue(t *testing.T) {
	for v, ok := range map[string]bool{"": true, "a b\t\xff": true, "a\r": false, "a\nb": false, "\x00": false} {
		t.Run(fmt.Sprintf("%q", v), func(t *testing.T) {
			if ValidValue(v) != ok {
				t.Errorf("ValidValue(v) = %v, want %v: %q, %v", ValidValue(v), ok, v, !ok)
			}
		})
	}
}
