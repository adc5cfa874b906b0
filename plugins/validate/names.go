package validate

const twice = "an object in the body has two properties of one name"

// unique reports whether no object in text, which is JSON, has two properties of one name (RFC 8259, section 4): parsers
// differ in which of the two they take. v is what text was decoded to. Every property has a colon, and v has of each name one;
// so there are as many colons as there are properties in v.
func unique(text []byte, v any) bool { return colons(text) == properties(v) }

// colons counts those outside of strings. Backslashes are inside.
func colons(text []byte) (n int) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			quoted = !quoted
		case '\\':
			i++
		case ':':
			if !quoted {
				n++
			}
		}
	}
	return n
}

// properties counts those of all objects in a decoded body.
func properties(v any) (n int) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			n += properties(e)
		}
	case map[string]any:
		n = len(v)
		for _, e := range v {
			n += properties(e)
		}
	}
	return n
}
