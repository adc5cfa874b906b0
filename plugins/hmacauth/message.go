package hmacauth

import (
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
)

// signed is a signature as a request has it, not checked yet.
type signed struct {
	key       string // the access key
	signature []byte
	time      time.Time
	expires   time.Time // zero: not said
	bases     []string  // what may be signed, in canonical form; none while the body is needed for it
	digest    bool      // content-digest is signed
	body      bool      // the body's hash is part of bases
	scope     *scope    // of AWS4-HMAC-SHA256
	label     string
}

// message reads a signature of RFC 9421.
func (p *HMACAuth) message(h filter.RequestHeaders) (*signed, error) {
	inputs, err1 := parseDictionary(strings.Join(h.Values("signature-input"), ", "))
	signatures, err2 := parseDictionary(strings.Join(h.Values("signature"), ", "))
	if err1 != nil || err2 != nil || len(inputs) == 0 {
		return nil, malformed
	}
	if p.Label == "" && len(inputs) != 1 {
		return nil, ambiguous
	}
	var input *member
	for i := range inputs {
		if p.Label == "" || inputs[i].key == p.Label {
			input = &inputs[i]
		}
	}
	if input == nil || !input.isList {
		return nil, malformed
	}
	s := &signed{label: input.key}
	for i := range signatures {
		if signatures[i].key == input.key {
			s.signature = signatures[i].bytes
		}
	}
	if s.signature == nil {
		return nil, malformed
	}
	if err := s.params(input.params); err != nil {
		return nil, err
	}
	if err := p.covers(h, input.list); err != nil {
		return nil, err
	}
	var b strings.Builder
	for i := range input.list {
		c := &input.list[i]
		v, ok := value(h, c)
		if !ok {
			return nil, incomplete
		}
		c.write(&b)
		b.WriteString(": ")
		b.WriteString(v)
		b.WriteByte('\n')
		s.digest = s.digest || c.name == "content-digest"
	}
	b.WriteString(`"@signature-params": `)
	input.write(&b)
	s.bases = []string{b.String()}
	return s, nil
}

func (s *signed) params(params []param) error {
	for _, p := range params {
		ok := true
		switch p.key {
		case "created", "expires":
			var seconds int64
			if seconds, ok = p.value.(int64); !ok || seconds < 0 {
				return malformed
			}
			if p.key == "created" {
				s.time = time.Unix(seconds, 0)
			} else {
				s.expires = time.Unix(seconds, 0)
			}
		case "keyid":
			s.key, ok = p.value.(string)
		case "alg":
			if p.value != "hmac-sha256" {
				return algorithm
			}
		case "nonce", "tag":
			_, ok = p.value.(string)
		default: // it is signed, whatever it means
		}
		if !ok {
			return malformed
		}
	}
	if s.key == "" || s.time.IsZero() {
		return malformed
	}
	return nil
}

// covers checks that what must be signed is, and nothing twice.
func (p *HMACAuth) covers(h filter.RequestHeaders, list []component) error {
	has := map[string]bool{}
	for _, c := range list {
		if has[c.name] || len(c.params) > 0 {
			return incomplete
		}
		has[c.name] = true
	}
	for _, c := range p.Required {
		switch {
		case has[c]:
		case (c == "@authority" || c == "@path" || c == "@query" || c == "@scheme") && has["@target-uri"]:
		case (c == "@path" || c == "@query") && has["@request-target"]:
		case c == "@query" && !strings.Contains(h.Path(), "?"):
		default:
			return incomplete
		}
	}
	return nil
}

// value returns that of a component (RFC 9421, section 2).
func value(h filter.RequestHeaders, c *component) (string, bool) {
	path, query, has := strings.Cut(h.Path(), "?")
	switch c.name {
	case "@method":
		return h.Method(), true
	case "@authority":
		return authority(h), true
	case "@scheme":
		return strings.ToLower(h.Scheme()), true
	case "@target-uri":
		return strings.ToLower(h.Scheme()) + "://" + authority(h) + h.Path(), true
	case "@request-target":
		return h.Path(), true
	case "@path":
		if path == "" {
			path = "/"
		}
		return path, true
	case "@query":
		if !has {
			return "?", true
		}
		return "?" + query, true
	}
	if c.name == "" || c.name[0] == '@' || c.name != strings.ToLower(c.name) || !h.Has(c.name) {
		return "", false
	}
	values := h.Values(c.name)
	for i := range values {
		values[i] = strings.Trim(values[i], " \t")
	}
	return strings.Join(values, ", "), true
}

// authority is the host in lower case, without the port that goes without saying.
func authority(h filter.RequestHeaders) string {
	host := strings.ToLower(h.Host())
	switch strings.ToLower(h.Scheme()) {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return host
}
