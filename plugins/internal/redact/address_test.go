package redact

import (
	"strings"
	"testing"
)

func TestAddress(t *testing.T) {
	p := &Hiding{query: map[string]bool{"key": true, "a b": true}}
	for _, c := range []struct{ name, text, want string }{
		{"path", "/p", "/p"},
		{"one", "/p?key=x", "/p?key=[redacted]"},
		{"between others", "/p?a=1&key=x&b=2", "/p?a=1&key=[redacted]&b=2"},
		{"twice", "/p?key=x&key=y", "/p?key=[redacted]&key=[redacted]"},
		{"escaped name", "/p?k%65y=x&a+b=y&a%20b=z", "/p?k%65y=[redacted]&a+b=[redacted]&a%20b=[redacted]"},
		{"bad escape", "/p?key%zz=x", "/p?key%zz=x"},
		{"without a value", "/p?key&a", "/p?key&a"},
		{"empty value", "/p?key=", "/p?key=[redacted]"},
		{"other case", "/p?KEY=x", "/p?KEY=x"},
		{"URL", "https://a.example/p?key=x", "https://a.example/p?key=[redacted]"},
		{"fragment", "https://a.example/p#key=x&a=1", "https://a.example/p#key=[redacted]&a=1"},
		{"query and fragment", "/p?a=1#key=x", "/p?a=1#key=[redacted]"},
		{"value with a question mark", "/p?a=1?key=x", "/p?a=1?key=[redacted]"},
		{"value with an equals sign", "/p?key=a=b&c=d", "/p?key=[redacted]&c=d"},
		{"empty parameters", "/p?&&key=x&", "/p?&&key=[redacted]&"},
		{"nothing", "", ""},
		{"only a mark", "?", "?"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := p.Address(c.text); got != c.want {
				t.Errorf("Address(%q) = %q, want %q", c.text, got, c.want)
			}
		})
	}
}

// FuzzAddress: no value of a hidden parameter is left, and nothing else changes.
func FuzzAddress(f *testing.F) {
	f.Add("/p?a=1&key=x#key=y?key=z")
	f.Add("?#&key=&%6bey=1")
	p := &Hiding{query: map[string]bool{"key": true}}
	f.Fuzz(func(t *testing.T, text string) {
		got := p.Address(text)
		if again := p.Address(got); again != got {
			t.Errorf("%q becomes %q, and that %q", text, got, again)
		}
		if n := strings.Count(got, Hidden); n == 0 && got != text {
			t.Errorf("%q becomes %q", text, got)
		}
	})
}
