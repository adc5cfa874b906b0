package accesslog

import (
	"os"
	"strings"
	"testing"

	"mosn.io/moe/framework/filtertest"
)

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
