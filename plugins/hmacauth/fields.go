package hmacauth

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

// What follows reads as much of Structured Field Values (RFC 9651) as signatures and digests have: dictionaries whose
// members are byte sequences or lists of strings, with parameters.

// member is one of a dictionary.
type member struct {
	key    string
	bytes  []byte // of a byte sequence
	list   []component
	isList bool
	params []param
}

// component is a string of a list, with parameters.
type component struct {
	name   string
	params []param
}

// param has a string, an int64, a token, a bool or bytes.
type param struct {
	key   string
	value any
}

type token string

var errField = errors.New("the field is malformed")

// limits of what is read.
const (
	maxField   = 16 << 10
	maxMembers = 16
	maxList    = 64
)

type scanner struct{ s string }

func (p *scanner) blanks() { p.s = strings.TrimLeft(p.s, " \t") }

func (p *scanner) take(c byte) bool {
	if p.s == "" || p.s[0] != c {
		return false
	}
	p.s = p.s[1:]
	return true
}

// parseDictionary reads a field of that type. Keys that come twice are an error: which of them a signer meant is not
// for us to guess.
func parseDictionary(s string) ([]member, error) {
	if len(s) > maxField {
		return nil, errField
	}
	p := &scanner{strings.Trim(s, " \t")}
	var all []member
	for p.s != "" {
		m, err := p.member()
		if err != nil {
			return nil, err
		}
		for _, other := range all {
			if other.key == m.key {
				return nil, errField
			}
		}
		if all = append(all, m); len(all) > maxMembers {
			return nil, errField
		}
		p.blanks()
		if p.s == "" {
			break
		}
		if !p.take(',') {
			return nil, errField
		}
		if p.blanks(); p.s == "" {
			return nil, errField
		}
	}
	return all, nil
}

func (p *scanner) member() (m member, err error) {
	if m.key, err = p.key(); err != nil {
		return m, err
	}
	if !p.take('=') {
		return m, errField
	}
	if p.take('(') {
		m.isList = true
		if m.list, err = p.list(); err != nil {
			return m, err
		}
	} else {
		v, err := p.bare()
		if err != nil {
			return m, err
		}
		b, ok := v.([]byte)
		if !ok {
			return m, errField
		}
		m.bytes = b
	}
	m.params, err = p.parameters()
	return m, err
}

func (p *scanner) list() (list []component, err error) {
	for {
		p.s = strings.TrimLeft(p.s, " ")
		if p.take(')') {
			return list, nil
		}
		v, err := p.bare()
		if err != nil {
			return nil, err
		}
		name, ok := v.(string)
		if !ok || len(list) >= maxList {
			return nil, errField
		}
		c := component{name: name}
		if c.params, err = p.parameters(); err != nil {
			return nil, err
		}
		if p.s == "" || p.s[0] != ' ' && p.s[0] != ')' {
			return nil, errField
		}
		list = append(list, c)
	}
}

func (p *scanner) parameters() (params []param, err error) {
	for p.take(';') {
		p.s = strings.TrimLeft(p.s, " ")
		key, err := p.key()
		if err != nil {
			return nil, err
		}
		var v any = true
		if p.take('=') {
			if v, err = p.bare(); err != nil {
				return nil, err
			}
		}
		for _, other := range params {
			if other.key == key {
				return nil, errField
			}
		}
		if params = append(params, param{key, v}); len(params) > maxMembers {
			return nil, errField
		}
	}
	return params, nil
}

func (p *scanner) key() (string, error) {
	n := 0
	for n < len(p.s) {
		c := p.s[n]
		first := 'a' <= c && c <= 'z' || c == '*'
		if !first && (n == 0 || (c < '0' || c > '9') && c != '_' && c != '-' && c != '.') {
			break
		}
		n++
	}
	if n == 0 {
		return "", errField
	}
	key := p.s[:n]
	p.s = p.s[n:]
	return key, nil
}

// bare reads a value without parameters.
func (p *scanner) bare() (any, error) {
	if p.s == "" {
		return nil, errField
	}
	switch c := p.s[0]; {
	case c == '"':
		return p.text()
	case c == ':':
		end := strings.IndexByte(p.s[1:], ':')
		if end < 0 {
			return nil, errField
		}
		b, err := base64.StdEncoding.DecodeString(p.s[1 : 1+end])
		if err != nil || len(b) == 0 {
			return nil, errField
		}
		p.s = p.s[end+2:]
		return b, nil
	case c == '?':
		if len(p.s) < 2 || p.s[1] != '0' && p.s[1] != '1' {
			return nil, errField
		}
		v := p.s[1] == '1'
		p.s = p.s[2:]
		return v, nil
	case c == '-' || '0' <= c && c <= '9':
		n := 1
		for n < len(p.s) && '0' <= p.s[n] && p.s[n] <= '9' {
			n++
		}
		v, err := strconv.ParseInt(p.s[:n], 10, 64)
		if err != nil || n > 16 || strconv.FormatInt(v, 10) != p.s[:n] {
			return nil, errField
		}
		p.s = p.s[n:]
		return v, nil
	case 'a' <= c|0x20 && c|0x20 <= 'z' || c == '*':
		n := 1
		for n < len(p.s) && strings.IndexByte(" \t,;()\"", p.s[n]) < 0 {
			n++
		}
		v := token(p.s[:n])
		p.s = p.s[n:]
		return v, nil
	}
	return nil, errField
}

func (p *scanner) text() (string, error) {
	var b strings.Builder
	for i := 1; i < len(p.s); i++ {
		switch c := p.s[i]; {
		case c == '"':
			p.s = p.s[i+1:]
			return b.String(), nil
		case c == '\\':
			if i++; i >= len(p.s) || p.s[i] != '"' && p.s[i] != '\\' {
				return "", errField
			}
			b.WriteByte(p.s[i])
		case c < ' ' || c > '~':
			return "", errField
		default:
			b.WriteByte(c)
		}
	}
	return "", errField
}

// write serialises a list with its parameters, as RFC 9421, section 2.3, wants it.
func (m *member) write(b *strings.Builder) {
	b.WriteByte('(')
	for i, c := range m.list {
		if i > 0 {
			b.WriteByte(' ')
		}
		c.write(b)
	}
	b.WriteByte(')')
	writeParams(b, m.params)
}

func (c *component) write(b *strings.Builder) {
	writeText(b, c.name)
	writeParams(b, c.params)
}

func writeText(b *strings.Builder, s string) {
	b.WriteByte('"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
}

func writeParams(b *strings.Builder, params []param) {
	for _, p := range params {
		b.WriteByte(';')
		b.WriteString(p.key)
		switch v := p.value.(type) {
		case string:
			b.WriteByte('=')
			writeText(b, v)
		case int64:
			b.WriteByte('=')
			b.WriteString(strconv.FormatInt(v, 10))
		case token:
			b.WriteByte('=')
			b.WriteString(string(v))
		case []byte:
			b.WriteString("=:")
			b.WriteString(base64.StdEncoding.EncodeToString(v))
			b.WriteByte(':')
		case bool:
			if !v {
				b.WriteString("=?0")
			}
		}
	}
}
