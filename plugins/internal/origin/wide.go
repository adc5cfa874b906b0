package origin

import (
	"net/url"
	"regexp/syntax"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// Any reports whether s has origins that anybody can come by, and says by which of its entries: a pattern or a wildcard that
// goes with any domain, or with any below a top-level domain or another suffix where the public registers names, such as
// https://*.com, https://.*\.co\.uk or https://.*example\.com.
func (s *Set) Any() (entry string, any bool) {
	for _, x := range s.suffixes {
		if registrable(stand + portless(x.host)) {
			return x.scheme + "*" + x.host, true
		}
	}
	for i, p := range s.patterns {
		for _, sample := range samples(s.texts[i]) {
			if p.MatchString(sample) && registrable(hostOf(sample)) {
				return s.texts[i], true
			}
		}
	}
	return "", false
}

// stand is a label that stands for whatever a wildcard may match. Nobody has listed it.
const stand = "moeprobe"

func portless(host string) string {
	host, _, _ = strings.Cut(host, ":")
	return host
}

func hostOf(origin string) string {
	_, host, _ := strings.Cut(origin, "://")
	if u, err := url.Parse("https://" + host); err == nil {
		return u.Hostname()
	}
	return portless(host)
}

// registrable reports whether the public can register the domain of a host which has stand in it.
func registrable(host string) bool {
	if suffix, icann := publicsuffix.PublicSuffix(host); !icann && !strings.Contains(suffix, ".") {
		return false // a name of a private network, where the operator gives them out
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(host)
	return err == nil && strings.Contains(domain, stand)
}

// maxSamples bounds how many texts stand for a pattern.
const maxSamples = 256

// samples returns texts that a pattern may match, each alternative by itself. Where it has a repetition without an end, stand
// is put in, by itself and with a domain of its own after it.
func samples(pattern string) []string {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil
	}
	return expand(re.Simplify())
}

// fills are what a wildcard may stand for: a whole origin, a domain or a label.
var fills = []string{"https://" + stand + ".com", stand + ".com", stand}

func expand(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		return []string{strings.ToLower(string(re.Rune))}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return []string{"."} // one that was not escaped, most likely
	case syntax.OpCharClass:
		for i := 0; i+1 < len(re.Rune); i += 2 {
			if lo, hi := re.Rune[i], re.Rune[i+1]; lo <= 'x' && 'x' <= hi {
				return []string{"x"}
			}
		}
		if len(re.Rune) > 0 {
			return []string{string(re.Rune[0])}
		}
	case syntax.OpCapture:
		return expand(re.Sub[0])
	case syntax.OpQuest:
		return limit(append([]string{""}, expand(re.Sub[0])...))
	case syntax.OpStar, syntax.OpPlus:
		return limit(append(append([]string{}, fills...), expand(re.Sub[0])...))
	case syntax.OpConcat:
		texts := []string{""}
		for _, sub := range re.Sub {
			texts = product(texts, expand(sub))
		}
		return texts
	case syntax.OpAlternate:
		var texts []string
		for _, sub := range re.Sub {
			texts = append(texts, expand(sub)...)
		}
		return limit(texts)
	}
	return []string{""}
}

func product(heads, tails []string) []string {
	var texts []string
	for _, head := range heads {
		for _, tail := range tails {
			if len(texts) == maxSamples {
				return texts
			}
			texts = append(texts, head+tail)
		}
	}
	return texts
}

func limit(texts []string) []string { return texts[:min(len(texts), maxSamples)] }
