package parsers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
)

// maxDepth is the bridge's limit on how many lists and objects may contain each other. Go's libraries allow 10,000.
const maxDepth = 100

func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// documents are JSON, good and bad.
var documents = []string{
	`null`, `true`, `false`, `0`, `-0`, `-0.5e-3`, `1E+2`, `1e308`, `5e-324`, `123456789012345678901234567890`, ` "x" `,
	`"\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\ud83d\ude00\u0000"`, `"é€😀"`, `[]`, `{}`, ` [ 1 , [ ] , { } ] `,
	`{"a":1,"b":[true,null,{"c":"d"}],"":""}`, "\t{\r\n\"a\" : 1 }", `{"a":1,"a":{"b":2}}`, nested(101),

	``, ` `, `nul`, `nullx`, `True`, `+1`, `01`, `-01`, `-`, `.5`, `1.`, `1.e3`, `1e`, `1e+`, `0x1`, `NaN`, `Infinity`,
	`1e400`, `-1e400`, `"`, `"\`, `"\x"`, `"\u12"`, `"\u12g4"`, `"\ud83d"`, `"\ud83dx"`, `"\ud83d\n"`, `"\ud83d\u0041"`,
	`"\ude00"`, `"\ude00\ud83d"`, "\"\x01\"", "\"\n\"", "\"\xff\"",
	"\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"",
	"\"\xe2\x82\"", "{\"\xff\":1}", `[`, `[1`, `[1,`, `[1,]`, `[,1]`, `[1 2]`, `]`, `{`, `{"a"`, `{"a":`, `{"a":1`,
	`{"a":1,`, `{"a":1,}`, `{,}`, `{a:1}`, `{"a" 1}`, `{1:1}`, `}`, `1 2`, `{}{}`, "\x00", "null\x00", "\ufeffnull", "\v1",
	"\"\x7f\"", `/**/1`, `'a'`, nested(102),
	strings.Repeat(`{"a":`, 102) + "1" + strings.Repeat("}", 102),
}

func FuzzJSON(f *testing.F) {
	for _, d := range documents {
		f.Add([]byte(d))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		out, good := run(t, 'j', text)
		// Two of Go's libraries: protobuf's is as strict about characters and numbers as the bridge should be, but refuses
		// a name that an object has twice.
		var strict structpb.Value
		wrong := protojson.Unmarshal(text, &strict)
		var want any
		if err := json.Unmarshal(text, &want); err != nil {
			if good {
				t.Fatalf("the bridge takes %q; encoding/json: %v", text, err)
			}
			return
		}
		switch deep := depth(want) > maxDepth; {
		case good && deep:
			t.Fatalf("the bridge takes %d levels", depth(want))
		case good && wrong != nil && !strings.Contains(wrong.Error(), "duplicate"):
			t.Fatalf("the bridge takes %q; protojson: %v", text, wrong)
		case good && !same(tree(t, out), want):
			t.Fatalf("the bridge reads %q as %q, encoding/json as %v", text, out, want)
		case !good && wrong == nil && !deep:
			t.Fatalf("the bridge refuses %q: %s", text, out)
		}
	})
}

// FuzzValueBytes has the bridge write JSON as a google.protobuf.Value, which Go must read as the same value.
func FuzzValueBytes(f *testing.F) {
	for _, d := range documents {
		f.Add([]byte(d))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		bytes, good := run(t, 'w', text)
		if !good {
			return
		}
		var want any
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatalf("json.Unmarshal: %v", err)
		}
		if got := valueOf(t, []byte(bytes)); !same(want, got) {
			t.Fatalf("%q became %v", text, got)
		}
		// And the bridge must read its own.
		if out, good := run(t, 'v', []byte(bytes)); !good || !same(want, tree(t, out)) {
			t.Fatalf("%q, written and read, became %q", text, out)
		}
	})
}

func TestJSONErrors(t *testing.T) {
	for text, want := range map[string]string{
		``:                 `JSON, byte 0: the document ends too early`,
		`{"a": [1, 02]}`:   `JSON, byte 11: a number begins with a needless 0`,
		`{"a" 1}`:          `JSON, byte 5: no colon behind a field's name`,
		`{"a": 1, }`:       `JSON, byte 9: a field's name is missing`,
		`{"a": 1`:          `JSON, byte 7: an object does not end`,
		`[1 2]`:            `JSON, byte 3: a list does not end`,
		`[tru]`:            `JSON, byte 1: no value`,
		`1 2`:              `JSON, byte 2: something follows the document`,
		`"\q"`:             `JSON, byte 3: unknown escape`,
		`"\u12"`:           `JSON, byte 5: no four hexadecimal digits behind \u`,
		`"\ude00"`:         `JSON, byte 7: half a surrogate pair`,
		"\"a\nb\"":         `JSON, byte 3: a control character in a string`,
		"{\"a\": \"\xff\"": `JSON, byte 8: a string is not UTF-8`,
		`"a`:               `JSON, byte 2: a string does not end`,
		`1e999`:            `JSON, byte 5: a number is too large`,
		`1.`:               `JSON, byte 2: no digit behind a point`,
		nested(200):        `JSON, byte 101: too deeply nested`,
	} {
		t.Run(fmt.Sprintf("%.40q", text), func(t *testing.T) {
			if got, good := run(t, 'j', []byte(text)); good || got != want {
				t.Errorf("%.20q: got %q, want %q", text, got, want)
			}
		})
	}
}

// TestLargeJSON parses a large document, within the time that any input may take.
func TestLargeJSON(t *testing.T) {
	text := append(append([]byte("["), bytes.Repeat([]byte(`{"name":"value"},`), 100_000)...), `1]`...)
	var want any
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatalf("json.Unmarshal: %v", err)
	}
	if out, good := run(t, 'j', text); !good || !same(want, tree(t, out)) {
		t.Errorf("the bridge reads it otherwise: %.100q", out)
	}
}
