package origin

import (
	"regexp"
	"testing"
)

func TestAny(t *testing.T) {
	for _, c := range []struct {
		name, origin, pattern string
		want                  bool
	}{
		{"one origin", "https://a.example.com", "", false},
		{"hosts of a domain", "https://*.example.com", "", false},
		{"hosts of a domain, with a port", "https://*.example.com:8443", "", false},
		{"a private network", "https://*.internal", "", false},
		{"a top-level domain", "https://*.com", "", true},
		{"a top-level domain, with a port", "https://*.com:8443", "", true},
		{"a suffix of two labels", "https://*.co.uk", "", true},
		{"a suffix of a service", "https://*.github.io", "", true},

		{"literal", "", `https://app\.example\.com`, false},
		{"hosts by pattern", "", `https://[a-z]+\.example\.com`, false},
		{"hosts or none by pattern", "", `https://(.+\.)?example\.com`, false},
		{"alternatives", "", `https?://(www|app)\.example\.(com|org)(:[0-9]+)?`, false},
		{"numbered", "", `https://app[0-9]\.example\.com`, false},
		{"a private network by pattern", "", `https://.*\.corp`, false},
		{"everything", "", `.*`, true},
		{"everything but the scheme", "", `https?://.+`, true},
		{"with a port", "", `https://.*:8443`, true},
		{"without a host", "", `(?i)https://[^/]*`, true},
		{"a top-level domain by pattern", "", `https://.*\.com`, true},
		{"letters below a top-level domain", "", `https://[a-z]+\.com`, true},
		{"no dots below a top-level domain", "", `https://[^.]+\.com`, true},
		{"words below a top-level domain", "", `https://\w+\.com`, true},
		{"a suffix of two labels by pattern", "", `https://.*\.co\.uk`, true},
		{"a suffix of a service by pattern", "", `https://.+\.herokuapp\.com`, true},
		{"no dot before the domain", "", `https://.*example\.com`, true},
		{"no end after the domain", "", `https://app\.example\.com.*`, true},
		{"one bad alternative", "", `https://(app\.example\.com|.*\.net)`, true},
		{"counted", "", `https://.{1,}\.com`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var origins []string
			var patterns []*regexp.Regexp
			if c.origin != "" {
				origins = []string{c.origin}
			}
			if c.pattern != "" {
				patterns = []*regexp.Regexp{regexp.MustCompile(c.pattern)}
			}
			s, err := Parse(origins, patterns)
			if err != nil {
				t.Fatalf("Parse(%q, %q): %v", c.origin, c.pattern, err)
			}
			entry, any := s.Any()
			if any != c.want {
				t.Errorf("Any() = %q, %v; want %v", entry, any, c.want)
			}
			if want := c.origin + c.pattern; any && entry != want {
				t.Errorf("Any() names %q, want %q", entry, want)
			}
		})
	}
}

// FuzzAny: no pattern takes long, and one that is said to be for anybody has an origin that shows it.
func FuzzAny(f *testing.F) {
	f.Add(`https://(a|b|c)*(d|e)+([f-h]{2,9}|i?)\.com`)
	f.Add(`((((.*)*)*)*)*`)
	f.Add(`(?i)[^a]\b$^`)
	f.Fuzz(func(t *testing.T, pattern string) {
		p, err := regexp.Compile(pattern)
		if err != nil {
			return
		}
		s, err := Parse(nil, []*regexp.Regexp{p})
		if err != nil {
			return
		}
		if n := len(samples(pattern)); n > maxSamples {
			t.Errorf("%q has %d samples, want %d at most", pattern, n, maxSamples)
		}
		s.Any()
	})
}
