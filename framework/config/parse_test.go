package config

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]any{
		"":                            nil,
		" \n\t":                       nil,
		"# only a comment\n":          nil,
		"\ufeff{\"a\": 1}":            map[string]any{"a": int64(1)},
		`{"a": [1, 1.0, -2, 1e3]}`:    map[string]any{"a": []any{int64(1), 1.0, int64(-2), 1000.0}},
		`{"a": 18446744073709551615}`: map[string]any{"a": uint64(1<<64 - 1)},
		`{"a": "\ud83d\ude00\/"}`:     map[string]any{"a": "😀/"},
		`{a: b, c: [d]}`:              map[string]any{"a": "b", "c": []any{"d"}},
		"[]":                          []any{},
		"{}":                          map[string]any{},
		"a: 1\nb: 1.5\nc: 1e3\nd: true\ne: null\nf:\ng: 0x1f\nh: 0o17\ni: 1_000\nj: '5'": map[string]any{
			"a": int64(1),
			"b": 1.5, "c": 1000.0, "d": true, "e": nil, "f": nil, "g": int64(31), "h": int64(15), "i": int64(1000), "j": "5",
		},
		"a: yes\nb: on\nc: 2024-01-02\n404: x\ntrue: y": map[string]any{
			"a": "yes", "b": "on", "c": "2024-01-02",
			"404": "x", "true": "y",
		},
		"a: |\n  two\n  lines\n": map[string]any{"a": "two\nlines\n"},
		"x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: *x": map[string]any{
			"x": map[string]any{"a": int64(1), "b": int64(2)},
			"y": map[string]any{"a": int64(1), "b": int64(3)}, "z": map[string]any{"a": int64(1), "b": int64(2)},
		},
		"a: &a {k: 1}\nb: &b {k: 2, l: 3}\nc: {<<: [*a, *b]}": map[string]any{
			"a": map[string]any{"k": int64(1)},
			"b": map[string]any{"k": int64(2), "l": int64(3)}, "c": map[string]any{"k": int64(1), "l": int64(3)},
		},
		"---\na: b\n...\n": map[string]any{"a": "b"},
		"secret":           "secret",
	} {
		t.Run(fmt.Sprintf("%q", text), func(t *testing.T) {
			got, err := Parse([]byte(text))
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	deepYAML := strings.Builder{}
	for i := range 200 {
		fmt.Fprintf(&deepYAML, "%*sa:\n", i, "")
	}
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := range 9 {
		bomb += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), i)
	}
	const tag = "line 1: YAML tags are not supported, or this value does not fit its tag; remove the tag"
	for text, want := range map[string]string{
		"a: \xff":                            "line 1: text is not UTF-8; save the file as UTF-8 without a binary part",
		"{\n\n\"a\": \"\xc3\x28\"}":          "line 3: text is not UTF-8; save the file as UTF-8 without a binary part",
		"a: 1\nb: 2\na: 3":                   "line 3: duplicate key a",
		"{\"a\": 1,\n\"a\": 2}":              "line 2: duplicate key a",
		"{\"a b\": {\"x\": 1, \"x\": 1}}":    "line 1: duplicate key x",
		"{\"a b\": 1, \"a b\": 1}":           `line 1: duplicate key ["a b"]`,
		"{a: 1, a: 2}":                       "line 1: duplicate key a",
		"{\"a\": 1} {":                       "line 1: something follows the end of the JSON document",
		"{\"a\": 1,\n":                       "line 2: the JSON document ends too early",
		"{\"a\": \"hush\" \"b\": [}":         "line 1: JSON: invalid character '\"' after object key:value pair",
		"{\"a\": \"x\x01\"}":                 `line 1: JSON: invalid character '\x01' in string literal`,
		"a: [1":                              "line 1: YAML: did not find expected ',' or ']'",
		"a: b: c":                            `line 1: YAML: put quotes around a text with ": " in it, or begin a new line`,
		"a:\n\tb: 1":                         "line 2: YAML: the line is indented by a tab; YAML takes blanks only",
		"a: *nope":                           "line 1: YAML: an alias has no anchor; put quotes around a text that begins with *",
		"a: 1\n---\nb: 2":                    "line 2: a second YAML document begins; put one in a file",
		"a: !!binary aGk=":                   tag,
		"a: !x {b: c}":                       tag,
		"a: !x [b]":                          tag,
		"a: !!int x":                         "",
		"a: .inf":                            "line 1: expected a finite number; put quotes around it if it is text",
		"a: .nan":                            "line 1: expected a finite number; put quotes around it if it is text",
		"a: 010":                             "line 1: a number begins with 0; write 0o for octal, or put quotes around it",
		"{\"a\": 1e999}":                     "line 1: a number is out of range; the largest is about 1.8e308",
		"? [a]\n: b":                         "line 1: expected a plain text as key",
		"~: b":                               "line 1: expected a plain text as key",
		"a: {<<: 5}":                         "line 1: expected an object to merge by <<, got a number",
		"a: {<<: [[{}]]}":                    "line 1: expected an object to merge by <<, got a list",
		"a: &a [*a]":                         "line 1: more than 100 objects and lists inside each other",
		strings.Repeat("[", 101):             "line 1: more than 100 objects and lists inside each other",
		strings.Repeat("[", 100_000):         "line 1: more than 100 objects and lists inside each other",
		strings.Repeat(`{"a":`, 100_000):     "line 1: more than 100 objects and lists inside each other",
		"a: " + strings.Repeat("[", 100_000): "",
		deepYAML.String():                    "line 101: more than 100 objects and lists inside each other",
		bomb:                                 "line 1: aliases repeat more than 100000 values; write it without them",
		strings.Repeat("x", MaxSize+1):       "the configuration has 4194305 bytes, the limit is 4194304; split or shorten it",
	} {
		t.Run(fmt.Sprintf("%.40q", text), func(t *testing.T) {
			start := time.Now()
			v, err := Parse([]byte(text))
			name := text[:min(40, len(text))]
			switch {
			case err == nil:
				t.Errorf("%q: no error but %T", name, v)
			case want != "" && err.Error() != want:
				t.Errorf("%q:\n got %s\nwant %s", name, err, want)
			case strings.Contains(err.Error(), "hush"):
				t.Errorf("%q: the value is in %s", name, err)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("%q took %v", name, d)
			}
		})
	}
}

// A configuration of a megabyte is an ordinary one.
func TestParseMegabyte(t *testing.T) {
	var j, y strings.Builder
	j.WriteString(`{"words": ["x"`)
	y.WriteString("words:\n")
	n := 1
	for ; j.Len() < 1<<20; n++ {
		fmt.Fprintf(&j, `, "word %d"`, n)
		fmt.Fprintf(&y, "- word %d\n", n)
	}
	j.WriteString("]}")
	y.WriteString("- x\n")
	for _, text := range []string{j.String(), y.String()} {
		t.Run(fmt.Sprintf("%.40q", text), func(t *testing.T) {
			into := &everything{}
			if err := Decode(parse(t, text), into); err != nil || len(into.Words) != n {
				t.Errorf("%d words, %v", len(into.Words), err)
			}
		})
	}
	long := strings.Repeat("x", 1<<20)
	if err := Decode(parse(t, `{"any": "`+long+`"}`), &everything{}); err != nil {
		t.Errorf("Decode: %v", err)
	}
	err := Decode(parse(t, `{"`+long+`": 1, "rate": "`+long+`"}`), &everything{})
	if err == nil || len(err.Error()) > 300 {
		t.Errorf("a long key: got error %.400v, want one of at most 300 bytes", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"a": [1, "x", null, true, 1e9]}`, "a: &x {b: c}\nd: {<<: *x}", "[[[[", "a: 010", "- - - x",
		"{a: b}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := Parse(text)
		if err != nil {
			if _, ok := err.(Errors); !ok {
				t.Errorf("the error is a %T", err)
			}
			return
		}
		if !generic(v) {
			t.Errorf("%#v is not generic data", v)
		}
	})
}

func generic(v any) bool {
	switch v := v.(type) {
	case nil, bool, string, int64, uint64, float64:
		return true
	case []any:
		for _, e := range v {
			if !generic(e) {
				return false
			}
		}
		return true
	case map[string]any:
		for _, e := range v {
			if !generic(e) {
				return false
			}
		}
		return true
	}
	return false
}
