package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Error is one thing that is wrong with a configuration.
type Error struct {
	File   string // the file, "-" for the standard input; "" where there is none, or only one
	Line   int    // in the file or text, from 1; 0 where it is not known
	Column int    // in the line, in characters from 1; 0 where it is not known
	Path   string // as in `plugins[1].config.rate`; "" is the whole document
	Plugin string // the plugin concerned, if one is
	Msg    string // what is wrong and what to do
}

// Error returns "file:line:column: path: message (plugin)", without what is not known.
func (e Error) Error() string {
	s := e.Msg
	if e.Path != "" {
		s = e.Path + ": " + s
	}
	if e.Plugin != "" {
		s += " (" + e.Plugin + ")"
	}
	switch {
	case e.File == "" && e.Line > 0:
		return fmt.Sprintf("line %d: %s", e.Line, s)
	case e.File == "":
		return s
	case e.Line > 0 && e.Column > 0:
		return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, s)
	case e.Line > 0:
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, s)
	}
	return e.File + ": " + s
}

// maxErrors is how many errors are collected in one document; a broken generator repeats itself.
const maxErrors = 1000

// Errors is everything that is wrong with a configuration. Every function of this package that fails returns one.
type Errors []Error

// Error joins the first ten errors to one line; print the elements to see all.
func (es Errors) Error() string {
	const most = 10
	var s []string
	for _, e := range es[:min(most, len(es))] {
		s = append(s, e.Error())
	}
	if n := len(es) - most; n > 0 {
		s = append(s, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(s, "; ")
}

// Err returns es as an error, nil if it is empty, in the order of files, lines and paths.
func (es Errors) Err() error {
	if len(es) == 0 {
		return nil
	}
	slices.SortStableFunc(es, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			comparePaths(a.Path, b.Path))
	})
	return es
}

// In returns es with paths below path.
func (es Errors) In(path string) Errors {
	moved := make(Errors, len(es))
	for i, e := range es {
		switch {
		case e.Path == "":
			e.Path = path
		case path != "" && e.Path[0] != '[':
			e.Path = path + "." + e.Path
		default:
			e.Path = path + e.Path
		}
		moved[i] = e
	}
	return moved
}

// Of returns es with the plugin that they concern, where none is named yet.
func (es Errors) Of(plugin string) Errors {
	named := slices.Clone(es)
	for i := range named {
		named[i].Plugin = cmp.Or(named[i].Plugin, plugin)
	}
	return named
}

// Redact returns es with every secret in a message replaced. Secrets of less than four bytes stay: they would be found
// in ordinary words, and the replacement would tell them.
func (es Errors) Redact(secrets []string) Errors {
	clean := slices.Clone(es)
	for i := range clean {
		clean[i].Msg = Redact(clean[i].Msg, secrets)
	}
	return clean
}

// Redact is [Errors.Redact] for a text of somebody else's.
func Redact(text string, secrets []string) string {
	for _, s := range secrets {
		if len(s) < 4 {
			continue
		}
		text = strings.ReplaceAll(text, s, "[secret]")
		if q := strconv.Quote(s); len(q) != len(s)+2 {
			text = strings.ReplaceAll(text, q[1:len(q)-1], "[secret]")
		}
	}
	return text
}

// comparePaths orders rules[2] before rules[10].
func comparePaths(a, b string) int {
	for a != "" && b != "" {
		na, nb := digits(a), digits(b)
		if na > 0 && nb > 0 {
			if c := cmp.Or(cmp.Compare(na, nb), cmp.Compare(a[:na], b[:nb])); c != 0 {
				return c
			}
			a, b = a[na:], b[nb:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func digits(s string) int {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}

// Key returns path with a key of an object added; one that is not a plain word is quoted, and cut if it is long.
func Key(path, key string) string {
	if !plainWord(key) {
		const most = 40
		if len(key) > most {
			key = strings.ToValidUTF8(key[:most], "") + "…"
		}
		return path + "[" + strconv.Quote(key) + "]"
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// Index returns path with a place in a list added.
func Index(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

func plainWord(s string) bool {
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// kind names what v is, and nothing of its value.
func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		if v == "" {
			return "an empty string"
		}
		return "a string"
	case bool:
		return "a boolean"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case float64, float32, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, json.Number:
		return "a number"
	}
	return fmt.Sprintf("a value of Go type %T", v)
}

// Suggest returns "; did you mean "x"?" with the name of names that is near to name, or "".
func Suggest(name string, names []string) string {
	if near := nearest(name, names); near != "" {
		return "; did you mean " + strconv.Quote(near) + "?"
	}
	return ""
}

// nearest returns the name of names that is near to name, or "".
func nearest(name string, names []string) string {
	best, least := "", max(1, min(3, len(name)/3))+1
	for _, n := range names {
		d := 0
		if !strings.EqualFold(n, name) {
			d = distance(strings.ToLower(n), strings.ToLower(name), least)
		}
		if d < least {
			best, least = n, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete, replace or swap with the next to get from a to b; most if it is
// most or more.
func distance(a, b string, most int) int {
	if len(a)-len(b) >= most || len(b)-len(a) >= most || len(a) > 100 {
		return most
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// list names what may stand in a place.
func list(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = strconv.Quote(n)
	}
	if len(q) < 2 {
		return strings.Join(q, "")
	}
	return strings.Join(q[:len(q)-1], ", ") + " or " + q[len(q)-1]
}
