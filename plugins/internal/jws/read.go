package jws

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"mosn.io/moe/plugins/internal/claims"
)

// maxKeys is how many keys of a set are read.
const maxKeys = 200

// Skipped is a key of a set that is not used.
type Skipped struct {
	// Position is the key's place in the set, from 0.
	Position int
	// KeyID is its kid, if it has one.
	KeyID string
	// Why says what is wrong with it. It does not quote the key.
	Why string
}

// String describes the key and what is wrong with it.
func (s Skipped) String() string {
	if s.KeyID == "" {
		return fmt.Sprintf("key %d %s", s.Position, s.Why)
	}
	return fmt.Sprintf("key %d (%q) %s", s.Position, short(s.KeyID), s.Why)
}

// short bounds what a key set can have logged.
func short(id string) string {
	const most = 64
	if len(id) > most {
		return id[:most] + "…"
	}
	return id
}

var pemBegin = []byte("-----BEGIN ")

var errNoKeys = errors.New("is neither a JSON Web Key Set nor public keys in PEM")

// ReadKeys reads a JSON Web Key Set, a single JWK, or public keys and certificates in PEM. Each key is read by itself: one
// that is malformed, of an unknown type or not allowed is skipped (RFC 7517, section 5). A text without a usable key is
// an error. No error quotes the text.
func ReadKeys(text []byte, allowed []string) (*Set, []Skipped, error) {
	text = bytes.TrimSpace(text)
	var entries []entry
	var err error
	if bytes.HasPrefix(text, pemBegin) {
		entries = pemEntries(text)
	} else if entries, err = jsonEntries(text); err != nil {
		return nil, nil, err
	}
	set := &Set{}
	var skipped []Skipped
	for i, e := range entries {
		why := e.err
		if i >= maxKeys {
			skipped = append(skipped, Skipped{i, "", fmt.Sprintf("and those after it are too many: a set may have %d", maxKeys)})
			break
		}
		if why == nil {
			var k *key
			if k, why = readKey(e.text, e.options, allowed); why == nil {
				set.keys = append(set.keys, k)
				continue
			}
		}
		skipped = append(skipped, Skipped{i, e.id, why.Error()})
	}
	if len(set.keys) == 0 {
		return nil, skipped, fmt.Errorf("has no key that can be used: %s", skippedText(skipped))
	}
	return set, skipped, nil
}

// entry is a key of a set that has not been read yet.
type entry struct {
	id      string
	text    []byte
	options []jwk.ParseOption
	err     error // of what is not even the text of a key
}

// jsonEntries returns the keys of a JSON Web Key Set, or of a text that is one key itself. Bytes that are not UTF-8 spoil
// the member that has them, and nothing else.
func jsonEntries(text []byte) ([]entry, error) {
	text = bytes.ToValidUTF8(text, []byte("\uFFFD"))
	members, err := claims.Object(nil, text)
	if err != nil {
		return nil, errNoKeys
	}
	keys, isSet := member(members, "keys")
	if !isSet {
		if _, ok := member(members, "kty"); !ok {
			return nil, errNoKeys
		}
		return []entry{jsonEntry(text)}, nil
	}
	list, ok := claims.Elements(keys)
	if !ok {
		return nil, errNoKeys
	}
	entries := make([]entry, len(list))
	for i, text := range list {
		entries[i] = jsonEntry(text)
	}
	return entries, nil
}

func jsonEntry(text []byte) entry {
	members, err := claims.Object(nil, text)
	if err != nil {
		return entry{err: err}
	}
	e := entry{text: text}
	if id, ok := member(members, "kid"); ok {
		e.id, _ = claims.Str(id)
	}
	return e
}

func member(members []claims.Member, name string) ([]byte, bool) {
	for i := range members {
		if members[i].Name == name {
			return members[i].Value, true
		}
	}
	return nil, false
}

// pemEntries returns the blocks of a text in PEM. encoding/pem passes over a malformed block without a word, so that each
// beginning is looked at by itself.
func pemEntries(text []byte) (entries []entry) {
	for len(text) > 0 {
		piece := text
		if next := bytes.Index(text[len(pemBegin):], pemBegin); next >= 0 {
			piece = text[:next+len(pemBegin)]
		}
		text = text[len(piece):]
		e := entry{err: errors.New("is a malformed block of PEM")}
		if block, _ := pem.Decode(piece); block != nil {
			e = entry{text: pem.EncodeToMemory(block), options: []jwk.ParseOption{jwk.WithPEM(true)}}
		}
		entries = append(entries, e)
	}
	return entries
}
