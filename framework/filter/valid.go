package filter

import (
	"strconv"
	"strings"

	"mosn.io/moe/framework/internal/core"
)

// Classes of bytes.
const (
	upper    = 1 << iota // an upper-case letter
	badKey               // not allowed in a name: not a token character of RFC 9110, section 5.6.2
	badValue             // not allowed in a value: RFC 9110, section 5.5, as Envoy checks it
	space                // not allowed in the value of a pseudo-header besides
)

var classes = func() (t [256]uint8) {
	for i := range t {
		c := byte(i)
		switch {
		case 'A' <= c && c <= 'Z':
			t[c] = upper
		case c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0:
			t[c] = badKey
		}
		switch {
		case c == ' ' || c == '\t':
			t[c] |= space
		case c < ' ' || c == 0x7f:
			t[c] |= badValue
		}
	}
	return t
}()

func classOf(s string) (class uint8) {
	for i := 0; i < len(s); i++ {
		class |= classes[s[i]]
	}
	return class
}

func lower(s string) string {
	if classOf(s)&upper != 0 {
		return strings.ToLower(s)
	}
	return s
}

// trim cuts the whitespace around a value.
func trim(v string) string {
	if v != "" && (classes[v[0]]|classes[v[len(v)-1]])&space != 0 {
		return strings.Trim(v, " \t")
	}
	return v
}

// plain reports whether a field can be set in any block just as it is.
func plain(key, value string) bool {
	switch len(key) {
	case 0, len("host"), len("content-length"), len("transfer-encoding"):
		return false
	}
	if value == "" || (classes[value[0]]|classes[value[len(value)-1]])&space != 0 || classOf(key)&(upper|badKey) != 0 {
		return false
	}
	if len(value) >= 8 {
		return plainWords(value)
	}
	return classOf(value)&badValue == 0
}

// Eight bytes at a time: 1 in each of them, and the bit of each that is set where what is looked for was found.
const (
	each = 0x0101010101010101
	mark = 0x80 * each
)

// load returns eight bytes of s from at on.
func load(s string, at int) uint64 {
	return uint64(s[at]) | uint64(s[at+1])<<8 | uint64(s[at+2])<<16 | uint64(s[at+3])<<24 |
		uint64(s[at+4])<<32 | uint64(s[at+5])<<40 | uint64(s[at+6])<<48 | uint64(s[at+7])<<56
}

// plainWords reports whether all bytes of a value of eight or more may stand in one. Values are longer than names, so it
// pays to look at eight at a time for control characters, of which only the tab is allowed.
func plainWords(value string) bool {
	for at := 0; ; at += 8 {
		at = min(at, len(value)-8) // the last ones again
		w := load(value, at)
		low, del := (w-' '*each)&^w, w^0x7f*each
		if (low|(del-each)&^del)&mark != 0 {
			return classOf(value)&badValue == 0
		}
		if at+8 == len(value) {
			return true
		}
	}
}

// canonical returns key as blocks hold it, and the class of its bytes.
func (h Headers) canonical(key string) (string, uint8) {
	class := classOf(key)
	if class&upper != 0 {
		key = strings.ToLower(key)
	}
	if len(key) == 4 && key == "host" && h.block == core.RequestHeaders {
		return ":authority", badKey
	}
	return key, class
}

// refuses returns why a field cannot be set, or "".
func (h Headers) refuses(key string, class uint8, value string) string {
	switch {
	case class&badKey == 0 && key != "" && classOf(value)&badValue == 0:
		if key != "content-length" && key != "transfer-encoding" {
			return ""
		}
		if key == "content-length" && isNumber(value) || key == "transfer-encoding" && h.block != core.RequestHeaders {
			return ""
		}
	case key != "" && key[0] == ':' && classOf(value)&(badValue|space) == 0 && validPseudo(int(h.block), key, value):
		return ""
	}
	return "sets an invalid header " + strconv.Quote(key) // without its value, which may be a secret
}

// validPseudo knows the pseudo-headers of RFC 9113, section 8.3, and of RFC 8441.
func validPseudo(block int, key, value string) bool {
	switch {
	case block == core.RequestHeaders:
		switch key {
		case ":method", ":scheme", ":protocol":
			return classOf(value)&badKey == 0
		case ":path":
			return value[0] == '/' || value == "*"
		case ":authority":
			return true
		}
	case block == core.ResponseHeaders && key == ":status":
		return len(value) == 3 && isNumber(value) && '2' <= value[0] && value[0] <= '5'
	}
	return false
}

func isNumber(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && len(s) < 19
}

// valid reports whether a field of a reply can be sent. key is in lower case.
func valid(key, value string) bool {
	return key != "" && classOf(key)&badKey == 0 && classOf(value)&badValue == 0
}
