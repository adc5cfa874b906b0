// Package claims reads what tokens say, and has others told of it.
package claims

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// maxMembers is how many members an object may have; no token has more.
const maxMembers = 1000

// Member is a member of a JSON object. The value is as it stands in the text.
type Member struct {
	Name  string
	Value []byte
}

var (
	errNoObject  = errors.New("is not a JSON object")
	errDuplicate = errors.New("has a member twice")
)

// Object returns the members of a JSON object, in their order, appended to room. Unlike encoding/json it takes names as
// they are, whatever their case, and refuses an object that has one twice, as one reader may take the first and another
// the last.
func Object(room []Member, text []byte) ([]Member, error) {
	if !utf8.Valid(text) || !json.Valid(text) {
		return nil, errNoObject
	}
	i := space(text, 0)
	if i == len(text) || text[i] != '{' {
		return nil, errNoObject
	}
	// From here on the text is known to be valid, so that looking for the ends of things is enough.
	i = space(text, i+1)
	ms := room
	for text[i] != '}' {
		end := stringEnd(text, i)
		name := nameOf(text[i:end])
		i = space(text, space(text, end)+1) // past the colon
		end = valueEnd(text, i)
		if len(ms) == maxMembers {
			return nil, errNoObject
		}
		for k := range ms {
			if ms[k].Name == name {
				return nil, errDuplicate
			}
		}
		ms = append(ms, Member{name, text[i:end]})
		if i = space(text, end); text[i] == ',' {
			i = space(text, i+1)
		}
	}
	return ms, nil
}

func space(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r') {
		i++
	}
	return i
}

// stringEnd returns the position after the string that begins at i.
func stringEnd(text []byte, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// valueEnd returns the position after the value that begins at i.
func valueEnd(text []byte, i int) int {
	switch text[i] {
	case '"':
		return stringEnd(text, i)
	case '{', '[':
		depth := 0
		for ; ; i++ {
			switch text[i] {
			case '"':
				i = stringEnd(text, i) - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
	}
	for i < len(text) && bytes.IndexByte([]byte(",]} \t\r\n"), text[i]) < 0 {
		i++
	}
	return i
}

// unquote returns what a valid JSON string says.
func unquote(quoted []byte) string {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	var s string
	_ = json.Unmarshal(quoted, &s) // it is valid
	return s
}

// nameOf is unquote that makes no string for the names that most tokens have.
func nameOf(quoted []byte) string {
	switch string(quoted) {
	case `"alg"`:
		return "alg"
	case `"kid"`:
		return "kid"
	case `"typ"`:
		return "typ"
	case `"iss"`:
		return "iss"
	case `"sub"`:
		return "sub"
	case `"aud"`:
		return "aud"
	case `"exp"`:
		return "exp"
	case `"nbf"`:
		return "nbf"
	case `"iat"`:
		return "iat"
	case `"jti"`:
		return "jti"
	}
	return unquote(quoted)
}

// Str returns the value if it is a string.
func Str(value []byte) (string, bool) {
	if len(value) == 0 || value[0] != '"' {
		return "", false
	}
	return unquote(value), true
}

// Elements returns the elements of an array.
func Elements(value []byte) ([][]byte, bool) {
	if len(value) == 0 || value[0] != '[' {
		return nil, false
	}
	var list [][]byte
	for i := space(value, 1); value[i] != ']'; {
		end := valueEnd(value, i)
		list = append(list, value[i:end])
		if i = space(value, end); value[i] == ',' {
			i = space(value, i+1)
		}
	}
	return list, true
}
