package clientaddr

import "strings"

// fors goes through the parameters for of Forwarded fields (RFC 7239, section 4), from the last element. An element without
// one, and the rest of a field that is malformed, are "".
func fors(values []string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := len(values) - 1; i >= 0; i-- {
			list := elements(values[i])
			for k := len(list) - 1; k >= 0; k-- {
				if !yield(list[k]) {
					return
				}
			}
		}
	}
}

// elements returns the parameter for of each element of a field. Where the field is malformed, no element of it can be
// relied on, as it is not known where they begin: then there is one, "".
func elements(field string) (list []string) {
	malformed := []string{""}
	node, has := "", false
	for rest := field; ; {
		rest = strings.TrimLeft(rest, " \t")
		name, after, ok := strings.Cut(rest, "=")
		if at := strings.IndexAny(rest, ",;"); !ok || at >= 0 && at < len(name) { // a parameter without a value, or nothing
			if rest != "" && rest[0] != ',' && rest[0] != ';' {
				return malformed
			}
			after = rest
		} else {
			var value string
			if value, after, ok = valueOf(after); !ok {
				return malformed
			}
			if strings.EqualFold(name, "for") {
				if has {
					return malformed
				}
				node, has = value, true
			}
		}
		switch after = strings.TrimLeft(after, " \t"); {
		case after == "":
			return append(list, node)
		case after[0] == ',':
			list, node, has = append(list, node), "", false
		case after[0] != ';':
			return malformed
		}
		rest = after[1:]
	}
}

// valueOf reads a token or a quoted string.
func valueOf(text string) (value, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		n := strings.IndexAny(text, " \t,;\"")
		if n < 0 {
			n = len(text)
		}
		return text[:n], text[n:], n > 0
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return b.String(), text[i+1:], true
		case '\\':
			if i++; i == len(text) {
				return "", "", false
			}
		}
		b.WriteByte(text[i])
	}
	return "", "", false
}
