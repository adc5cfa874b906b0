package jwtauth

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// object must say what encoding/json says, but for what it refuses on purpose.
func FuzzObject(f *testing.F) {
	for _, s := range []string{
		`{}`, ` { "a" : 1 , "b" : [1, {"x": "]}"}] } `, `{"a\u0041":"\"\\"}`, `{"a":1,"a":2}`, `[1]`, `{"a":{"b":[]}}`,
		`{"a":-1.5e3}`, "{\"\xff\":1}", `{"a":"}"}`, `null`, ``, `{"a":true,"A":false,"":null}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ms, err := object(nil, []byte(text))
		var want map[string]json.RawMessage
		if bad := json.Unmarshal([]byte(text), &want); bad != nil && err == nil {
			t.Fatalf("%q is taken, and is no object: %v", text, bad)
		}
		if err != nil {
			return
		}
		if len(ms) != len(want) {
			t.Fatalf("%q has %d members, want %d", text, len(ms), len(want))
		}
		for _, m := range ms {
			if w, ok := want[m.name]; !ok || string(w) != string(m.value) {
				t.Errorf("%q: %q is %q, want %q", text, m.name, m.value, w)
			}
			if list, ok := elements(m.value); ok {
				var all []json.RawMessage
				if err := json.Unmarshal(m.value, &all); err != nil || len(all) != len(list) {
					t.Fatalf("%q has %d elements, want %d", m.value, len(list), len(all))
				}
				for i := range all {
					if string(all[i]) != string(list[i]) {
						t.Errorf("%q: element %d is %q", m.value, i, list[i])
					}
				}
			}
		}
	})
}

func FuzzToken(f *testing.F) {
	p := inline(jwks(f, everyKey()))
	if err := p.Providers[0].validate(); err != nil {
		f.Fatal(err)
	}
	set, err := p.Providers[0].fixed()
	if err != nil {
		f.Fatal(err)
	}
	p.Providers[0].local.Store(set)
	real := sign(f, "p256", "ES256", "p256", good(nil))
	f.Add(real)
	f.Add("eyJhbGciOiJub25lIn0.e30.AA")
	f.Add("..")
	f.Fuzz(func(t *testing.T, text string) {
		tok, err := parse(text)
		if err != nil {
			return
		}
		if _, err := readClaims(tok.payload); err != nil {
			return
		}
		_, why := p.Providers[0].verify(tok)
		if why == nil && text != real {
			// ECDSA has a second signature for each (s and n-s); the signed part must be the same.
			if text[:strings.LastIndexByte(text, '.')] != real[:strings.LastIndexByte(real, '.')] {
				t.Errorf("%q is verified", text)
			}
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add(jwks(f, everyKey()))
	f.Add("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
	f.Add(`{"keys":[{"kty":"oct","k":"AAAA"}]}`)
	f.Add(`{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`)
	f.Fuzz(func(t *testing.T, text string) {
		set, _, err := parseKeys([]byte(text), all)
		if err != nil {
			return
		}
		for _, k := range set.keys {
			_, secret := k.raw.([]byte)
			for _, alg := range k.algs {
				if slices.Contains(symmetric, alg) != secret {
					t.Errorf("%q: a %T is good for %s", text, k.raw, alg)
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
		ms, err := object(nil, []byte(`{"v":`+text+`}`))
		if err != nil || len(ms) != 1 {
			return
		}
		if v, err := headerValue(ms[0].value); err == nil && strings.ContainsAny(v, "\r\n\x00") {
			t.Errorf("%q became %q", text, v)
		}
	})
}
