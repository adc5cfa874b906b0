package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// jsonError is final when the text is JSON and wrong, so that reading it as YAML would only hide the reason.
type jsonError struct {
	err   error
	final bool
}

// jsonReader reads token by token, because encoding/json takes the last of equal keys and knows no depth. It makes the
// nodes that YAML would be read into, so that both know their positions and become data in one way.
type jsonReader struct {
	d     *json.Decoder
	text  []byte
	depth int

	offset int // of what at is about; it only grows
	at     Position
}

func parseJSON(text []byte) (*yaml.Node, *jsonError) {
	r := &jsonReader{d: json.NewDecoder(bytes.NewReader(text)), text: text, at: Position{1, 1}}
	r.d.UseNumber()
	n, err := r.value()
	if err == nil {
		if _, e := r.d.Token(); !errors.Is(e, io.EOF) {
			err = &jsonError{err: parseError(r.place(), "something follows the end of the JSON document")}
		}
	}
	if err != nil {
		return nil, err
	}
	return n, nil
}

// place returns the position after the last token.
func (r *jsonReader) place() Position { return r.seek(int(r.d.InputOffset())) }

// seek returns the position of an offset, which is not before that of the last call.
func (r *jsonReader) seek(offset int) Position {
	for ; r.offset < min(offset, len(r.text)); r.offset++ {
		switch c := r.text[r.offset]; {
		case c == '\n':
			r.at = Position{r.at.Line + 1, 1}
		case utf8.RuneStart(c):
			r.at.Column++
		}
	}
	return r.at
}

// token returns the next token and the position where it begins.
func (r *jsonReader) token() (json.Token, Position, *jsonError) {
	begin := int(r.d.InputOffset())
	for begin < len(r.text) && strings.IndexByte(" \t\r\n,:", r.text[begin]) >= 0 {
		begin++
	}
	at := r.seek(begin)
	t, err := r.d.Token()
	if err == nil {
		return t, at, nil
	}
	offset, msg := len(r.text), "the JSON document ends too early"
	if s := (*json.SyntaxError)(nil); errors.As(err, &s) {
		offset, msg = max(int(s.Offset)-1, 0), "JSON: "+s.Error()
	}
	return nil, at, &jsonError{err: parseError(r.seek(offset), "%s", msg)}
}

func (r *jsonReader) value() (*yaml.Node, *jsonError) {
	t, at, err := r.token()
	if err != nil {
		return nil, err
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: at.Line, Column: at.Column}
	switch t := t.(type) {
	case json.Delim:
		if r.depth++; r.depth > MaxDepth {
			return nil, &jsonError{tooDeep(at), true}
		}
		defer func() { r.depth-- }()
		if t == '{' {
			return n, r.object(n)
		}
		return n, r.list(n)
	case json.Number:
		v, err := number(t.String())
		if err != nil {
			return nil, &jsonError{parseError(at, "%v", err), true}
		}
		n.Tag, n.Value = "!!int", t.String()
		if _, ok := v.(float64); ok {
			n.Tag = "!!float"
		}
	case string:
		n.Tag, n.Value, n.Style = "!!str", t, yaml.DoubleQuotedStyle
	case bool:
		n.Tag, n.Value = "!!bool", strconv.FormatBool(t)
	default:
		n.Tag, n.Value = "!!null", "null"
	}
	return n, nil
}

func (r *jsonReader) object(n *yaml.Node) *jsonError {
	n.Kind, n.Tag = yaml.MappingNode, "!!map"
	seen := map[string]bool{}
	for r.d.More() {
		t, at, err := r.token()
		if err != nil {
			return err
		}
		key := t.(string) // the decoder lets nothing else through
		if seen[key] {
			return &jsonError{duplicate(at, key), true}
		}
		seen[key] = true
		v, err := r.value()
		if err != nil {
			return err
		}
		n.Content = append(n.Content, &yaml.Node{
			Kind: yaml.ScalarNode, Tag: "!!str", Value: key, Style: yaml.DoubleQuotedStyle, Line: at.Line, Column: at.Column,
		}, v)
	}
	_, _, err := r.token()
	return err
}

func (r *jsonReader) list(n *yaml.Node) *jsonError {
	n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
	for r.d.More() {
		v, err := r.value()
		if err != nil {
			return err
		}
		n.Content = append(n.Content, v)
	}
	_, _, err := r.token()
	return err
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
