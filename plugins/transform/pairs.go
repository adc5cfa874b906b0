package transform

import (
	"fmt"
	"net/url"
	"strings"

	"mosn.io/moe/framework/filter"
)

// pairs are the parameters of a query or a form, or cookies, in their order. What is not changed stays as it was written.
type pairs struct {
	list    []pair
	plain   bool // cookies: neither names nor values are escaped
	changed bool
}

type pair struct{ raw, name, value string }

func parsePairs(text, separator string, plain bool) *pairs {
	p := &pairs{plain: plain}
	for raw := range strings.SplitSeq(text, separator) {
		if plain {
			raw = strings.TrimSpace(raw)
		}
		if raw == "" {
			continue
		}
		name, value, _ := strings.Cut(raw, "=")
		if plain { // servers take off the space before the equals sign
			name = strings.TrimRight(name, " \t")
		} else {
			name, value = unescape(name), unescape(value)
		}
		p.list = append(p.list, pair{raw, name, value})
	}
	return p
}

// unescape leaves alone what is not escaped well.
func unescape(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}

func (p *pairs) get(name string) (list []string) {
	for _, q := range p.list {
		if q.name == name {
			list = append(list, q.value)
		}
	}
	return list
}

// put puts values where the first of that name was, or at the end.
func (p *pairs) put(name string, values []string) {
	made := make([]pair, 0, len(values))
	for _, v := range values {
		raw := name + "=" + v
		if !p.plain {
			raw = url.QueryEscape(name) + "=" + url.QueryEscape(v)
		}
		made = append(made, pair{raw, name, v})
	}
	var list []pair
	for _, q := range p.list {
		if q.name != name {
			list = append(list, q)
			continue
		}
		list, made, p.changed = append(list, made...), nil, true
	}
	if len(made) > 0 {
		list, p.changed = append(list, made...), true
	}
	p.list = list
}

func (p *pairs) text(separator string) string {
	raw := make([]string, 0, len(p.list))
	for _, q := range p.list {
		raw = append(raw, q.raw)
	}
	return strings.Join(raw, separator)
}

// fieldValue reports whether text can be the value of a header field.
func fieldValue(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) < 0
}

// headerValues are header fields, with the first value that cannot be one.
type headerValues struct {
	filter.Headers
	bad string // the name of its field
}

func (h *headerValues) get(name string) []string { return h.Values(name) }

func (h *headerValues) put(name string, values []string) {
	for _, v := range values {
		if !fieldValue(v) {
			h.bad = name
			return
		}
	}
	h.Del(name)
	for _, v := range values {
		h.Add(name, v)
	}
}

// change applies f to header fields.
func (f *Fields) change(h filter.Headers, w *work) error {
	if f.empty() {
		return nil
	}
	v := &headerValues{Headers: h}
	if err := f.apply(v, w); err != nil {
		return err
	}
	if v.bad != "" {
		return fmt.Errorf("the value for the header %s has a line break or another control character", v.bad)
	}
	return nil
}
