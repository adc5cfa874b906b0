package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// jsonError is final when the text is JSON and wrong, so that reading it as YAML would only hide the reason.
type jsonError struct {
	err   error
	final bool
}

// jsonReader reads token by token, because encoding/json takes the last of equal keys and knows no depth.
type jsonReader struct {
	d     *json.Decoder
	text  []byte
	depth int
}

func parseJSON(text []byte) (any, *jsonError) {
	r := &jsonReader{d: json.NewDecoder(bytes.NewReader(text)), text: text}
	r.d.UseNumber()
	v, err := r.value()
	if err == nil {
		if _, e := r.d.Token(); !errors.Is(e, io.EOF) {
			err = &jsonError{err: parseError(r.line(), "something follows the end of the JSON document")}
		}
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

func (r *jsonReader) line() int { return lineAt(r.text, int(r.d.InputOffset())) }

func (r *jsonReader) token() (json.Token, *jsonError) {
	t, err := r.d.Token()
	if err == nil {
		return t, nil
	}
	line, msg := lineAt(r.text, len(r.text)), "the JSON document ends too early"
	if s := (*json.SyntaxError)(nil); errors.As(err, &s) {
		line, msg = lineAt(r.text, int(s.Offset)), "JSON: "+s.Error()
	}
	return nil, &jsonError{err: parseError(line, "%s", msg)}
}

func (r *jsonReader) value() (any, *jsonError) {
	t, err := r.token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if r.depth++; r.depth > MaxDepth {
			return nil, &jsonError{tooDeep(r.line()), true}
		}
		defer func() { r.depth-- }()
		if t == '{' {
			return r.object()
		}
		return r.list()
	case json.Number:
		n, err := number(t.String())
		if err != nil {
			return nil, &jsonError{parseError(r.line(), "%v", err), true}
		}
		return n, nil
	}
	return t, nil
}

func (r *jsonReader) object() (any, *jsonError) {
	m := map[string]any{}
	for r.d.More() {
		t, err := r.token()
		if err != nil {
			return nil, err
		}
		key := t.(string) // the decoder lets nothing else through
		if _, ok := m[key]; ok {
			return nil, &jsonError{duplicate(r.line(), key), true}
		}
		if m[key], err = r.value(); err != nil {
			return nil, err
		}
	}
	_, err := r.token()
	return m, err
}

func (r *jsonReader) list() (any, *jsonError) {
	l := []any{}
	for r.d.More() {
		v, err := r.value()
		if err != nil {
			return nil, err
		}
		l = append(l, v)
	}
	_, err := r.token()
	return l, err
}

// number returns an int64 for text without fraction and exponent, a uint64 if it must, a float64 otherwise.
func number(text string) (any, error) {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i, nil
	}
	if u, err := strconv.ParseUint(text, 10, 64); err == nil {
		return u, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, fmt.Errorf("a number is out of range; the largest is about 1.8e308")
	}
	return f, nil
}
