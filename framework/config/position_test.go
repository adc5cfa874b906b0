package config

import (
	"strings"
	"testing"
)

// A path is found in every form in which JSON and YAML may be written.
func TestLocate(t *testing.T) {
	for _, c := range []struct {
		name, text, path string
		want             Position
	}{
		{name: "the document", text: "# one\na: 1", path: "", want: Position{2, 1}},
		{name: "a key", text: "a: 1\nb: {c: 2}", path: "b.c", want: Position{2, 5}},
		{name: "an element", text: "l:\n- a\n-   b", path: "l[1]", want: Position{3, 5}},
		{name: "a field of an element", text: "l:\n- a: 1\n  b: 2", path: "l[0].b", want: Position{3, 3}},
		{name: "a key with a blank", text: "m:\n  a b: 1", path: `m["a b"]`, want: Position{2, 3}},
		{name: "a missing field", text: "l:\n- a: 1", path: "l[0].b", want: Position{2, 3}},
		{name: "a missing element", text: "l:\n- a: 1", path: "l[7].b", want: Position{1, 1}},
		{name: "behind an alias", text: "x: &x {a: 1}\ny: *x", path: "y.a", want: Position{1, 8}},
		{name: "columns are characters", text: "{ä: 1, b: 2}", path: "b", want: Position{1, 8}},
		{name: "JSON", text: "{\n  \"a\": [\n    1, {\"é\" : 1, \"b\": 2}]}", path: "a[1].b", want: Position{3, 18}},
		{name: "an element of JSON", text: "{\"a\":\n [1,\n 2]}", path: "a[1]", want: Position{3, 2}},
		{name: "a byte order mark", text: "\ufeffa: 1", path: "a", want: Position{1, 1}},
		{name: "nothing", text: "", path: "a", want: Position{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := ParseDocument([]byte(c.text))
			if err != nil {
				t.Fatalf("ParseDocument: %v", err)
			}
			if got := Locate(d.Node, c.path); got != c.want {
				t.Errorf("Locate(%q): got %v, want %v", c.path, got, c.want)
			}
		})
	}
}

// What the parser refuses is explained, at the place where it is, without a word of the text.
func TestTraps(t *testing.T) {
	const alias = `YAML: put quotes around a text that begins with *`
	for _, c := range []struct {
		name, text string
		at         Position
		want       string
	}{
		{name: "a tab", text: "a:\n\thush: 1", at: Position{2, 1}, want: "indented by a tab"},
		{name: "a tab after blanks", text: "a:\n  b: 1\n  \thush: 2", at: Position{3, 3}, want: "indented by a tab"},
		{name: "a tab in the first lines of a list", text: "- a\n\t- b", at: Position{2, 1}, want: "indented by a tab"},
		{name: "a list of an asterisk", text: "x: 1\na: [*]", at: Position{2, 5}, want: alias + `, as in "*"`},
		{name: "an asterisk in the first line", text: "a: [*]", at: Position{1, 5}, want: alias},
		{name: "an asterisk", text: "x: 1\ny: 2\na:\n- *\nb: 1", at: Position{4, 3}, want: alias},
		{name: "an asterisk among others", text: "a: [b, *, c]", at: Position{1, 8}, want: alias},
		{name: "a pattern of hosts", text: "x: 1\na: *.hush.example", at: Position{2, 4}, want: alias},
		{name: "a word with an asterisk", text: "x: 1\na: *hush", at: Position{2, 4}, want: "an alias has no anchor"},
		{name: "an at sign", text: "x: 1\na: @hush", at: Position{2, 4}, want: "put quotes around a text that begins with @"},
		{name: "a percent sign", text: "a: %REQ(hush)%", at: Position{1, 4}, want: "put quotes around a text that begins with @, %"},
		{name: "a colon in a text", text: "x: 1\na: hush: c", at: Position{2, 8}, want: `put quotes around a text with ": " in it`},
		{name: "too far in", text: "x: 1\ny: 2\n   z: hush", at: Position{3, 4}, want: "indented further"},
		{name: "too little in", text: "x: 1\nl:\n  a: 1\n b: hush\nc: 1", at: Position{4, 2}, want: "indented otherwise"},
		{name: "no colon", text: "x: 1\nhush\nz: 2", at: Position{2, 1}, want: "expected KEY: VALUE"},
		{name: "a list that does not end", text: "x: 1\nq: [hush, b\nd: 1\ne: 2\n", at: Position{2, 1}, want: "did not find expected ',' or ']'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.text))
			es, _ := err.(Errors)
			if len(es) != 1 {
				t.Fatalf("Parse: got %v, want one error", err)
			}
			if got := (Position{es[0].Line, es[0].Column}); got != c.at || !strings.Contains(es[0].Msg, c.want) {
				t.Errorf("got %v %q, want %v and %q", got, es[0].Msg, c.at, c.want)
			}
			if strings.Contains(es[0].Msg, "hush") {
				t.Errorf("%q has a part of the text in it", es[0].Msg)
			}
		})
	}
}

type ruled struct {
	Name  string   `json:"name" validate:"required"`
	Rate  int      `json:"rate" validate:"min=1"`
	Words []string `json:"words" validate:"min=1,dive,min=2"`
	Rules []rule   `json:"rules"`
	One   string   `json:"one" validate:"required_without=Two"`
	Two   string   `json:"two"`

	validated bool
}

func (r *ruled) Validate() error { r.validated = true; return nil }

// Types and rules are checked in one run, and each place is complained about once.
func TestTypesAndRules(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{name: "both", text: "{rate: x, name: '', words: [ab], one: a}", want: "name: is required; rate: expected a number, got a string"},
		{
			name: "in lists", text: "{rate: 1, name: a, words: [ab, 5, c], one: a, rules: [{}, {id: 1}]}",
			want: "rules[0].id: is required; rules[1].id: expected a string, got a number; words[1]: expected a string, got a number; " +
				"words[2]: expected at least 2 characters",
		},
		{name: "a misspelt field is not missing", text: "{rate: 1, nmae: a, words: [ab], one: a}", want: `nmae: unknown field; did you mean "name"?`},
		{name: "a rule about a field that is wrong", text: "{rate: 1, name: a, words: [ab], two: 5}", want: "two: expected a string, got a number"},
		{name: "a number for a list", text: "{rate: 0, name: a, words: 5, one: a}", want: "rate: expected at least 1; words: expected a list, got a number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			into := &ruled{}
			err := Decode(parse(t, c.text), into)
			if err == nil || err.Error() != c.want {
				t.Errorf("Decode:\n got %v\nwant %s", err, c.want)
			}
			if into.validated {
				t.Error("Validate was called for a struct that is wrong")
			}
		})
	}
}
