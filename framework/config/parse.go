package config

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Limits of [Parse].
const (
	MaxSize  = 4 << 20 // bytes of text
	MaxDepth = 100     // objects and lists inside each other

	maxAliased = 100_000 // values that YAML aliases may repeat, all together
)

// Parse reads JSON or YAML as generic data: nil, bool, string, int64, uint64 above its range, float64, []any and
// map[string]any. Empty text is nil. It refuses more than [MaxSize] bytes, text that is not UTF-8, two equal keys in
// one object, nesting deeper than [MaxDepth], YAML aliases that multiply, tags of YAML's applications and more than
// one YAML document. Errors name the line where it is known, and never quote a value.
func Parse(text []byte) (data any, err error) {
	d, err := ParseDocument(text)
	return d.Data, err
}

// ParseDocument is [Parse], with the nodes that the data was made of. The node of empty text is nil.
func ParseDocument(text []byte) (doc Document, err error) {
	defer func() { // the YAML parser is not ours
		if p := recover(); p != nil {
			doc, err = Document{}, parseError(Position{}, "this text makes the YAML parser panic; write it as JSON")
		}
	}()
	if len(text) > MaxSize {
		return Document{}, parseError(Position{}, "the configuration has %d bytes, the limit is %d; split or shorten it",
			len(text), MaxSize)
	}
	if err := checkUTF8(text); err != nil {
		return Document{}, err
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	trimmed := bytes.TrimLeft(text, " \t\r\n")
	if len(trimmed) == 0 {
		return Document{}, nil
	}
	if trimmed[0] != '{' && trimmed[0] != '[' {
		return parseYAML(text)
	}
	n, jsonErr := parseJSON(text)
	if jsonErr == nil {
		return newDocument(n)
	}
	// YAML has objects in braces too. If it is neither, the quoted first key tells what was meant.
	if doc, err = parseYAML(text); err == nil && !jsonErr.final {
		return doc, nil
	}
	if jsonErr.final || looksJSON(trimmed) {
		return Document{}, jsonErr.err
	}
	return Document{}, err
}

// Data returns what a node of [ParseDocument] holds, as [Parse] would.
func Data(n *yaml.Node) (any, error) { return (&yamlReader{}).value(n) }

func newDocument(n *yaml.Node) (Document, error) {
	data, err := Data(n)
	if err != nil {
		return Document{}, err
	}
	return Document{Data: data, Node: n}, nil
}

func looksJSON(text []byte) bool {
	rest := bytes.TrimLeft(text[1:], " \t\r\n")
	return len(rest) == 0 || strings.IndexByte(`"{[]}`, rest[0]) >= 0
}

func parseError(at Position, format string, args ...any) error {
	return Errors{{Line: at.Line, Column: at.Column, Msg: fmt.Sprintf(format, args...)}}
}

// checkUTF8 fails at the first byte that is not UTF-8.
func checkUTF8(text []byte) error {
	if utf8.Valid(text) {
		return nil
	}
	i := 0
	for {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		i += n
	}
	last := bytes.LastIndexByte(text[:i], '\n')
	at := Position{1 + bytes.Count(text[:i], []byte("\n")), 1 + utf8.RuneCount(text[last+1:i])}
	return parseError(at, "text is not UTF-8; save the file as UTF-8 without a binary part")
}

func tooDeep(at Position) error {
	return parseError(at, "more than %d objects and lists inside each other", MaxDepth)
}

func duplicate(at Position, key string) error {
	return parseError(at, "duplicate key %s", Key("", key))
}
