package jws

import (
	"bytes"
	"slices"
	"testing"
)

// FuzzKeys: no text makes a key good for algorithms of two families.
func FuzzKeys(f *testing.F) {
	f.Add(set(usableEntries()...))
	f.Add("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
	f.Add(`{"keys":[{"kty":"oct","k":"AAAA"}]}`)
	f.Add(`{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`)
	f.Fuzz(func(t *testing.T, text string) {
		s, _, err := ReadKeys([]byte(text), Algorithms)
		if err != nil {
			return
		}
		for _, k := range s.keys {
			_, secret := k.raw.([]byte)
			for _, alg := range k.algs {
				if slices.Contains(Symmetric, alg) != secret {
					t.Errorf("%q: a %T is good for %s", text, k.raw, alg)
				}
			}
		}
	})
}

// FuzzKeySet: whatever stands beside them in a set, the keys that can be used are used.
func FuzzKeySet(f *testing.F) {
	for _, c := range badEntries {
		f.Add(c.entry, uint8(0), false)
		f.Add(c.entry, uint8(1), true)
	}
	good := usableEntries()
	f.Fuzz(func(t *testing.T, bad string, at uint8, twice bool) {
		entries := slices.Clone(good)
		i := int(at) % (len(entries) + 1)
		entries = slices.Insert(entries, i, bad)
		if twice {
			entries = append(entries, bad)
		}
		text := []byte(set(entries...))
		if _, err := jsonEntries(text); err != nil || bytes.Contains([]byte(bad), []byte("]")) {
			return // the text is not JSON any more, or the set ends within the bad entry
		}
		s, _, err := ReadKeys(text, Asymmetric)
		if err != nil {
			t.Fatalf("%s: ReadKeys: %v", text, err)
		}
		for _, id := range usableIDs {
			if !slices.ContainsFunc(s.keys, func(k *key) bool { return k.id == id }) {
				t.Errorf("%s: the key %q is not used", text, id)
			}
		}
	})
}

// FuzzToken: a token that is taken apart is the same when it is put together.
func FuzzToken(f *testing.F) {
	f.Add("eyJhbGciOiJub25lIn0.e30.AA")
	f.Add("eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ.e30.AAAA")
	f.Add("..")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Parse(text, nil)
		if err != nil {
			return
		}
		again := got.Text + "." + strict.EncodeToString(got.Payload) + "." + strict.EncodeToString(got.Signature)
		if again != text {
			t.Errorf("%q is %q again", text, again)
		}
		known, err := Parse(text, &got.Header)
		if err != nil || known.Header != got.Header {
			t.Errorf("%q with a known header: got %+v, %v; want %+v", text, known, err, got)
		}
	})
}
