package origin

import "strings"

// SamePath reports whether the path of a request is that of a configured address. Both may have escapes; they are compared
// as RFC 3986, section 6.2.2, has it: %c3 is %C3 and %61 is a, but %2F is not a slash.
func SamePath(path, configured string) bool {
	if configured == "" || path == configured {
		return configured != ""
	}
	return strings.Contains(path+configured, "%") && normalize(path) == normalize(configured)
}

// normalize decodes the escapes of characters that need none, and writes the digits of the others in capitals.
func normalize(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] != '%' || i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) {
			b.WriteByte(path[i])
			continue
		}
		digits := strings.ToUpper(path[i+1 : i+3])
		i += 2
		if c := value(digits[0])<<4 | value(digits[1]); unreserved(c) {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + digits)
		}
	}
	return b.String()
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

// value is that of a hexadecimal digit in capitals.
func value(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c - 'A' + 10
}

func unreserved(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
