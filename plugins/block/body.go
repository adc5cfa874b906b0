package block

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/url"
	"regexp"
	"strings"

	"mosn.io/moe/framework/filter"
)

// queryHas searches a query as it was sent, and decoded.
func queryHas(re *regexp.Regexp, query string) bool {
	if re.MatchString(query) {
		return true
	}
	decoded := lenient(query)
	return decoded != query && re.MatchString(decoded)
}

// lenient decodes the escapes of a form or a query that are well-formed, and leaves the others.
func lenient(text string) string {
	if strings.IndexByte(text, '%') < 0 && strings.IndexByte(text, '+') < 0 {
		return text
	}
	if v, err := url.QueryUnescape(text); err == nil {
		return v
	}
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '+' {
			c = ' '
		}
		if c == '%' && i+2 < len(text) {
			if v, err := url.QueryUnescape(text[i : i+3]); err == nil {
				b, i = append(b, v...), i+2
				continue
			}
		}
		b = append(b, c)
	}
	return string(b)
}

// What cannot be searched.
const (
	tooLarge    = "the body is larger than maxBody"
	unknownCode = "the body has an encoding that is not known"
	brokenCode  = "the body is not encoded as it says"
)

// read returns the texts in which rules search: the body as it was sent, and decoded. why says what of it could not be
// read.
func (p *Block) read(h filter.RequestHeaders, b filter.Body) (texts [][]byte, why string) {
	body := b.Bytes()
	whole := b.Complete() && len(body) <= int(p.MaxBody)
	body = body[:min(len(body), int(p.MaxBody))]
	texts = append(texts, body)
	if !whole {
		why = tooLarge
	}
	if codings := codings(h); len(codings) > 0 {
		plain, problem := decode(body, codings, int(p.MaxBody))
		if texts = append(texts, plain); problem != "" && why == "" {
			why = problem
		}
		body = plain
	}
	if kind, _, _ := strings.Cut(h.Get("content-type"), ";"); strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded") {
		texts = append(texts, []byte(lenient(string(body))))
	}
	return texts, why
}

// codings returns the encodings of a body, in the order in which they were applied.
func codings(h filter.RequestHeaders) (list []string) {
	for _, line := range h.Values("content-encoding") {
		for c := range strings.SplitSeq(line, ",") {
			if c = strings.ToLower(strings.TrimSpace(c)); c != "" && c != "identity" {
				list = append(list, c)
			}
		}
	}
	return list
}

// decode undoes the encodings of a body, of which it returns most bytes at most. A body that was cut off is decoded as far
// as it goes.
func decode(body []byte, codings []string, most int) (plain []byte, why string) {
	if len(codings) > 3 {
		return nil, unknownCode
	}
	var r io.Reader = bytes.NewReader(body)
	for i := len(codings) - 1; i >= 0; i-- {
		var err error
		switch codings[i] {
		case "gzip", "x-gzip":
			r, err = gzip.NewReader(r)
		case "deflate":
			r, err = zlib.NewReader(r)
		default:
			return nil, unknownCode
		}
		if err != nil {
			return nil, brokenCode
		}
	}
	plain, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	switch {
	case len(plain) > most:
		return plain[:most], tooLarge
	case err != nil && !errors.Is(err, io.EOF):
		return plain, brokenCode
	}
	return plain, ""
}
