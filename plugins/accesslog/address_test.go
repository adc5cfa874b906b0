package accesslog

import (
	"os"
	"strings"
	"testing"

	"mosn.io/moe/framework/filtertest"
)

func TestAddress(t *testing.T) {
	p := &hiding{query: map[string]bool{"key": true, "a b": true}}
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
			if got := p.address(c.text); got != c.want {
				t.Errorf("address(%q) = %q, want %q", c.text, got, c.want)
			}
		})
	}
}

// TestAddressesInHeaders: what is hidden in the path is hidden wherever else the path is written.
func TestAddressesInHeaders(t *testing.T) {
	names := []string{
		"referer", "x-envoy-original-path", "x-original-path", "x-forwarded-path", "x-original-uri", "x-original-url",
		"x-rewrite-url", "x-forwarded-uri", "location",
	}
	p := config(t)
	p.RedactQuery = []string{"access_token"}
	h := filtertest.New(t, p)
	header := []string{}
	for _, name := range names {
		header = append(header, name, "https://example.com/p?a=1&access_token=geheim&b=2")
	}
	h.Get("/p?access_token=geheim", header...)
	e := read(t, p)[0]
	for _, name := range names {
		if got, want := e.Request.Headers[name], "https://example.com/p?a=1&access_token=[redacted]&b=2"; len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	text, err := os.ReadFile(p.Output)
	if err != nil {
		t.Fatalf("reading the log: %v", err)
	}
	if strings.Contains(string(text), "geheim") {
		t.Errorf("the line has the token: %s", text)
	}
}

// FuzzAddress: no value of a hidden parameter is left, and nothing else changes.
func FuzzAddress(f *testing.F) {
	f.Add("/p?a=1&key=x#key=y?key=z")
	f.Add("?#&key=&%6bey=1")
	p := &hiding{query: map[string]bool{"key": true}}
	f.Fuzz(func(t *testing.T, text string) {
		got := p.address(text)
		if again := p.address(got); again != got {
			t.Errorf("%q becomes %q, and that %q", text, got, again)
		}
		if n := strings.Count(got, hidden); n == 0 && got != text {
			t.Errorf("%q becomes %q", text, got)
		}
	})
}
