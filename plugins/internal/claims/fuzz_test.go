package claims

import (
	"encoding/json"
	"strings"
	"testing"
)

// Object must say what encoding/json says, but for what it refuses on purpose.
func FuzzObject(f *testing.F) {
	for _, s := range []string{
		`{}`, ` { "a" : 1 , "b" : [1, {"x": "]}"}] } `, `{"a\u0041":"\"\\"}`, `{"a":1,"a":2}`, `[1]`, `{"a":{"b":[]}}`,
		`{"a":-1.5e3}`, "{\"\xff\":1}", `{"a":"}"}`, `null`, ``, `{"a":true,"A":false,"":null}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ms, err := Object(nil, []byte(text))
		var want map[string]json.RawMessage
		if bad := json.Unmarshal([]byte(text), &want); bad != nil && err == nil {
			t.Fatalf("%q is taken, and is not an object: %v", text, bad)
		}
		if err != nil {
			return
		}
		if len(ms) != len(want) {
			t.Fatalf("%q has %d members, want %d", text, len(ms), len(want))
		}
		for _, m := range ms {
			if w, ok := want[m.Name]; !ok || string(w) != string(m.Value) {
				t.Errorf("%q: %q is %q, want %q", text, m.Name, m.Value, w)
			}
			if list, ok := Elements(m.Value); ok {
				var all []json.RawMessage
				if err := json.Unmarshal(m.Value, &all); err != nil || len(all) != len(list) {
					t.Fatalf("%q has %d elements, want %d", m.Value, len(list), len(all))
				}
				for i := range all {
					if string(all[i]) != string(list[i]) {
						t.Errorf("%q: element %d is %q", m.Value, i, list[i])
					}
				}
			}
		}
	})
}

func FuzzHeaderValue(f *testing.F) {
	f.Add(`["a","b"]`)
	f.Add(`"a\nb"`)
	f.Add(`{"a": [1]}`)
	f.Fuzz(func(t *testing.T, text string) {
		ms, err := Object(nil, []byte(`{"v":`+text+`}`))
		if err != nil || len(ms) != 1 {
			return
		}
		if v, err := headerValue(ms[0].Value); err == nil && strings.ContainsAny(v, "\r\n\x00") {
			t.Errorf("%q became %q", text, v)
		}
	})
}
