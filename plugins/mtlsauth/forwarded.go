package mtlsauth

import (
	"errors"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authn"
)

// forwarded returns the certificate that a proxy says its client has shown; nil if the peer is another client, whose header
// is removed. peer is the certificate of the connection.
//
// The last element of the header is what the nearest proxy has seen. If this Envoy adds one of its own
// (forward_client_cert_details: APPEND_FORWARD), that is the last and about the peer, and the one before it counts.
func (p *MTLSAuth) forwarded(h filter.RequestHeaders, peer *certificate) (*certificate, *authn.Wrong) {
	trusted := false
	for i := range p.Forwarded.Peers {
		trusted = trusted || peer != nil && peer.is(&p.Forwarded.Peers[i])
	}
	if !trusted {
		h.Del(header)
		return nil, nil
	}
	var elements []*certificate
	for _, v := range h.Values(header) {
		list, err := parse(v)
		if err != nil {
			return nil, malformed
		}
		elements = append(elements, list...)
	}
	n := len(elements)
	if n > 0 && peer.digest == "" {
		return nil, undecidable // the last may be about the peer
	}
	if n > 0 && elements[n-1].digest == peer.digest {
		elements = elements[:n-1]
	}
	if len(elements) == 0 {
		return nil, nil // the proxy calls for itself
	}
	last := elements[len(elements)-1]
	if last.empty() {
		return nil, malformed
	}
	return last, nil
}

const (
	maxValue    = 64 << 10 // bytes
	maxElements = 32
)

var errForwarded = errors.New("is not a value of x-forwarded-client-cert")

// parse reads a value of x-forwarded-client-cert: elements with commas between them, each of key=value with semicolons
// between them. A value that has one of ",;=" is in quotes.
func parse(text string) (list []*certificate, err error) {
	if len(text) > maxValue {
		return nil, errForwarded
	}
	for {
		c := &certificate{}
		if text, err = c.element(text); err != nil {
			return nil, err
		}
		if list = append(list, c); len(list) > maxElements {
			return nil, errForwarded
		}
		if text == "" {
			return list, nil
		}
		text = text[1:] // the comma
	}
}

// element reads one element and returns what follows it: nothing, or a comma and more.
func (c *certificate) element(text string) (rest string, err error) {
	seen := map[string]bool{}
	for {
		key, after, ok := strings.Cut(text, "=")
		key = strings.ToLower(strings.Trim(key, " \t"))
		if !ok || key == "" || strings.ContainsAny(key, `,;"`) {
			return "", errForwarded
		}
		value, rest, err := pair(after)
		if err != nil {
			return "", err
		}
		switch key {
		case "hash", "subject": // there is one of each
			if seen[key] {
				return "", errForwarded
			}
			seen[key] = true
		}
		if err := c.take(key, value); err != nil {
			return "", err
		}
		if rest == "" || rest[0] == ',' {
			return rest, nil
		}
		text = rest[1:] // the semicolon
	}
}

// pair reads the value of a pair and returns what follows: nothing, or a comma or semicolon and more.
// Envoy puts a subject between quotes as it is, in the form of RFC 2253, whose backslashes are part of it: they stay, so that it is
// the same text as the subject of a connection.
func pair(text string) (value, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexAny(text, ",;")
		if end < 0 {
			end = len(text)
		}
		value = strings.Trim(text[:end], " \t")
		if strings.Contains(value, `"`) {
			return "", "", errForwarded
		}
		return value, text[end:], nil
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++ // what follows does not end the value
		case '"':
			rest = strings.TrimLeft(text[i+1:], " \t")
			if rest != "" && rest[0] != ',' && rest[0] != ';' {
				return "", "", errForwarded
			}
			return text[1:i], rest, nil
		}
	}
	return "", "", errForwarded
}

// take notes one pair. Of By, Cert and Chain, none says more than the proxy has checked, and they are passed over.
func (c *certificate) take(key, value string) error {
	if value == "" {
		return nil // the certificate has none
	}
	switch key {
	case "hash":
		var ok bool
		if c.digest, ok = digest(value); !ok {
			return errForwarded
		}
	case "subject":
		c.subject = value
	case "uri":
		c.uris = append(c.uris, value)
	case "dns":
		c.dns = append(c.dns, value)
	case "by", "cert", "chain":
	default:
		return errForwarded
	}
	return nil
}
