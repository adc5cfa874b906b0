package claims

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// Find returns the value at a path, or nil: the claim of that name, or, of names joined by dots, the one in nested
// objects.
func Find(ms []Member, path string) []byte {
	for i := range ms {
		if ms[i].Name == path {
			return ms[i].Value
		}
	}
	first, rest, ok := strings.Cut(path, ".")
	if !ok {
		return nil
	}
	for i := range ms {
		if ms[i].Name != first || ms[i].Value[0] != '{' {
			continue
		}
		inner, err := Object(nil, ms[i].Value)
		if err != nil {
			return nil
		}
		return Find(inner, rest)
	}
	return nil
}

// Words returns the texts that a claim stands for: itself, or the elements of a list. A string of OAuth scopes is the
// list of its words (RFC 8693, section 4.2).
func Words(path string, value []byte) []string {
	if list, ok := Elements(value); ok {
		var out []string
		for _, e := range list {
			if s, ok := Scalar(e); ok {
				out = append(out, s)
			}
		}
		return out
	}
	s, ok := Scalar(value)
	switch {
	case !ok:
		return nil
	case path == "scope" || path == "scp":
		return strings.Fields(s)
	}
	return []string{s}
}

// Scalar is the text of a string, number or bool.
func Scalar(value []byte) (string, bool) {
	switch {
	case len(value) == 0 || value[0] == '{' || value[0] == '[' || value[0] == 'n':
		return "", false
	case value[0] == '"':
		return unquote(value), true
	}
	return string(value), true
}

// maxHeaderValue is how long a header made of a claim may be.
const maxHeaderValue = 8 << 10

var errUnfit = errors.New("has a claim that cannot be a header")

// headerValue is what a header says for a claim: the text of a scalar; the elements of a list of scalars, joined by
// commas; any other thing as JSON. What another reader could understand otherwise is an error.
func headerValue(value []byte) (string, error) {
	s, ok := Scalar(value)
	if !ok {
		if value[0] == 'n' {
			return "", nil
		}
		var err error
		if s, err = joined(value); err != nil {
			return "", err
		}
	}
	if len(s) > maxHeaderValue || strings.Trim(s, " \t") != s {
		return "", errUnfit
	}
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return "", errUnfit
		}
	}
	return s, nil
}

func joined(value []byte) (string, error) {
	list, ok := Elements(value)
	if ok && !slices.ContainsFunc(list, func(e []byte) bool { _, ok := Scalar(e); return !ok }) {
		texts := make([]string, len(list))
		for i, e := range list {
			texts[i], _ = Scalar(e)
			if strings.Contains(texts[i], ",") {
				return "", errUnfit
			}
		}
		return strings.Join(texts, ","), nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, value); err != nil {
		return "", errUnfit
	}
	return b.String(), nil
}
