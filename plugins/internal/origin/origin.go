// Package origin reads and compares web origins as browsers send them in Origin and Referer (RFC 6454, section 6).
package origin

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// MaxLength is how long an origin of a request may be, in bytes; a longer one matches nothing. A host has 253 at most.
const MaxLength = 512

// Null is what browsers send for an opaque origin: a sandboxed frame, a file, a redirect across sites.
const Null = "null"

// Check says what is wrong with text as an origin in a configuration: "https://a.example:8443", or with "*." before
// the host's last labels, "https://*.example".
func Check(text string) error {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || scheme == "" || rest == "" {
		return fmt.Errorf("%q is not an origin: it must be scheme://host or scheme://host:port", text)
	}
	host := strings.TrimPrefix(rest, "*.")
	u, err := url.Parse(scheme + "://" + host)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return fmt.Errorf("%q is not an origin: it must be scheme://host or scheme://host:port", text)
	case u.Host != host:
		return fmt.Errorf("%q is not an origin: nothing may follow the host and port", text)
	case strings.Contains(host, "*"):
		return fmt.Errorf("%q: a * must be the whole of the host's first label", text)
	case strings.ToLower(text) != text:
		return fmt.Errorf("%q: browsers send origins in lower case", text)
	case u.Port() != "" && u.Port() == defaultPort(scheme):
		return fmt.Errorf("%q: browsers leave out the port %s of %s", text, u.Port(), scheme)
	}
	return nil
}

func defaultPort(scheme string) string {
	switch scheme {
	case "http", "ws":
		return "80"
	case "https", "wss":
		return "443"
	}
	return ""
}

// Set is a set of origins. The zero Set is empty.
type Set struct {
	exact    map[string]bool
	suffixes []suffix
	patterns []*regexp.Regexp
	texts    []string // of patterns
}

type suffix struct{ scheme, host string } // "https://", ".example:8443"

// Parse makes a set of origins as [Check] takes them, of [Null], and of patterns, which an origin must match as a
// whole. No pattern matches the origin "null".
func Parse(origins []string, patterns []*regexp.Regexp) (Set, error) {
	s := Set{exact: map[string]bool{}}
	var errs []error
	for _, text := range origins {
		if text == Null {
			s.exact[text] = true
			continue
		}
		if err := Check(text); err != nil {
			errs = append(errs, err)
			continue
		}
		if scheme, host, ok := strings.Cut(text, "://*"); ok {
			s.suffixes = append(s.suffixes, suffix{scheme + "://", host})
			continue
		}
		s.exact[text] = true
	}
	for _, p := range patterns {
		if p == nil {
			continue
		}
		whole, err := regexp.Compile(`\A(?:` + p.String() + `)\z`)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.patterns, s.texts = append(s.patterns, whole), append(s.texts, p.String())
	}
	return s, errors.Join(errs...)
}

// Empty reports whether nothing is in s.
func (s *Set) Empty() bool { return len(s.exact)+len(s.suffixes)+len(s.patterns) == 0 }

// Has reports whether a request's origin is in s. It may be anything that a client can send.
func (s *Set) Has(o string) bool {
	if len(o) > MaxLength {
		return false
	}
	if s.exact[o] {
		return true
	}
	for i := range s.suffixes {
		if s.suffixes[i].matches(o) {
			return true
		}
	}
	return o != Null && s.matches(o)
}

func (s *Set) matches(o string) bool {
	for _, p := range s.patterns {
		if p.MatchString(o) {
			return true
		}
	}
	return false
}

// matches reports whether o has one label or more before the host.
func (x *suffix) matches(o string) bool {
	rest, ok := strings.CutPrefix(o, x.scheme)
	if !ok {
		return false
	}
	labels, ok := strings.CutSuffix(rest, x.host)
	if !ok || labels == "" || labels[0] == '.' {
		return false
	}
	for i := range len(labels) {
		c := labels[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return true
}

// Of returns the origin of an absolute http or https URL, such as the one in Referer.
func Of(address string) (string, bool) {
	if len(address) > 8<<10 {
		return "", false
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", false
	}
	return u.Scheme + "://" + strings.ToLower(strings.TrimSuffix(u.Host, ":"+defaultPort(u.Scheme))), true
}

// SameHost reports whether an origin has the host and port of a request's authority. Ports that the origin's scheme
// has by default may be written or left out. The scheme itself is not compared: TLS may end before Envoy.
func SameHost(o, authority string) bool {
	scheme, host, ok := strings.Cut(o, "://")
	if !ok || host == "" || authority == "" || len(o) > MaxLength {
		return false
	}
	if port := defaultPort(scheme); port != "" {
		host, authority = strings.TrimSuffix(host, ":"+port), strings.TrimSuffix(authority, ":"+port)
	}
	return strings.EqualFold(host, authority)
}
