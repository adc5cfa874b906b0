package manifest

// Dig returns what v has below the keys, one inside the other; nil if there is nothing.
func Dig(v any, keys ...string) any {
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

// List returns v if it is a list, else nil.
func List(v any) []any { l, _ := v.([]any); return l }

// String returns v if it is a string, else "".
func String(v any) string { s, _ := v.(string); return s }
