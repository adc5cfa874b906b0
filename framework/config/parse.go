package config

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
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
	defer func() { // the YAML parser is not ours
		if p := recover(); p != nil {
			data, err = nil, parseError(0, "this text makes the YAML parser panic; write it as JSON")
		}
	}()
	if len(text) > MaxSize {
		return nil, parseError(0, "the configuration has %d bytes, the limit is %d; split or shorten it",
			len(text), MaxSize)
	}
	if !utf8.Valid(text) {
		return nil, parseError(badLine(text), "text is not UTF-8; save the file as UTF-8 without a binary part")
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	trimmed := bytes.TrimLeft(text, " \t\r\n")
	if len(trimmed) == 0 {
		return nil, nil
	}
	if trimmed[0] != '{' && trimmed[0] != '[' {
		return parseYAML(text)
	}
	data, jsonErr := parseJSON(text)
	if jsonErr == nil {
		return data, nil
	}
	// YAML has objects in braces too. If it is neither, the quoted first key tells what was meant.
	if data, err = parseYAML(text); err == nil && !jsonErr.final {
		return data, nil
	}
	if jsonErr.final || looksJSON(trimmed) {
		return nil, jsonErr.err
	}
	return nil, err
}

func looksJSON(text []byte) bool {
	rest := bytes.TrimLeft(text[1:], " \t\r\n")
	return len(rest) == 0 || strings.IndexByte(`"{[]}`, rest[0]) >= 0
}

func parseError(line int, format string, args ...any) error {
	msg := fmt.Sprintf(format, args...)
	if line > 0 {
		msg = fmt.Sprintf("line %d: %s", line, msg)
	}
	return Errors{{Msg: msg}}
}

// badLine returns the line of the first byte that is not UTF-8.
func badLine(text []byte) int {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return lineAt(text, i)
		}
		i += n
	}
	return 0
}

func lineAt(text []byte, offset int) int {
	return 1 + bytes.Count(text[:min(offset, len(text))], []byte("\n"))
}

func tooDeep(line int) error {
	return parseError(line, "more than %d objects and lists inside each other", MaxDepth)
}

func duplicate(line int, key string) error {
	return parseError(line, "duplicate key %s", Key("", key))
}
