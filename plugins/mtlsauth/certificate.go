package mtlsauth

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"mosn.io/moe/framework/filter"
)

// certificate is one that a client has shown, as far as Envoy tells.
type certificate struct {
	subject string
	uris    []string
	dns     []string
	digest  string // in lower case, without colons
}

// digest returns a SHA-256 digest in one spelling.
func digest(text string) (string, bool) {
	text = strings.ToLower(strings.ReplaceAll(text, ":", ""))
	b, err := hex.DecodeString(text)
	return text, err == nil && len(b) == 32
}

// ofConnection returns the certificate of the stream's connection, nil if it has none. An error is that the host cannot
// tell.
func ofConnection(s filter.Stream) (*certificate, error) {
	c := &certificate{}
	for _, a := range []struct {
		name filter.Attr
		take func(string)
	}{
		{filter.AttrPeerSubject, func(v string) { c.subject = v }},
		{filter.AttrPeerURISAN, func(v string) { c.uris = []string{v} }},
		{filter.AttrPeerDNSSAN, func(v string) { c.dns = []string{v} }},
		{filter.AttrPeerDigest, func(v string) { c.digest, _ = digest(v) }},
	} {
		v, err := s.Attr(a.name)
		if err != nil && !errors.Is(err, filter.ErrNotFound) {
			return nil, err
		}
		if v != "" {
			a.take(v)
		}
	}
	if c.empty() {
		return nil, nil
	}
	return c, nil
}

func (c *certificate) empty() bool {
	return c.subject == "" && c.digest == "" && len(c.uris)+len(c.dns) == 0
}

// name is what the log calls the certificate.
func (c *certificate) name() string {
	switch {
	case len(c.uris) > 0:
		return c.uris[0]
	case c.subject != "":
		return c.subject
	case len(c.dns) > 0:
		return c.dns[0]
	}
	return c.digest
}

// is reports whether the certificate has all that want says.
func (c *certificate) is(want *Certificate) bool {
	if want.SHA256 != "" {
		if d, ok := digest(want.SHA256); !ok || d != c.digest {
			return false
		}
	}
	return (want.URI == "" || slices.Contains(c.uris, want.URI)) && (want.DNS == "" || slices.Contains(c.dns, want.DNS)) &&
		(want.Subject == "" || want.Subject == c.subject) && *want != (Certificate{})
}

// keys returns what a consumer with this certificate may be found by.
func (c *certificate) keys() (keys []string) {
	if c.digest != "" {
		keys = append(keys, "sha256\x00"+c.digest)
	}
	for _, v := range c.uris {
		keys = append(keys, "uri\x00"+v)
	}
	for _, v := range c.dns {
		keys = append(keys, "dns\x00"+v)
	}
	if c.subject != "" {
		keys = append(keys, "subject\x00"+c.subject)
	}
	return keys
}

// key returns what a consumer is found by: the first field that is set, from the narrowest to the widest.
func (c *Certificate) key() string {
	switch {
	case c.SHA256 != "":
		d, _ := digest(c.SHA256)
		return "sha256\x00" + d
	case c.URI != "":
		return "uri\x00" + c.URI
	case c.DNS != "":
		return "dns\x00" + c.DNS
	}
	return "subject\x00" + c.Subject
}
