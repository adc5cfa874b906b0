package config

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

var yamlLine = regexp.MustCompile(`(?s)^line (\d+): (.*)$`)

// trap is a mistake that is common and that the parser's words do not explain.
type trap struct {
	message string         // of the parser, which the trap may be behind
	found   *regexp.Regexp // the trap in a line; what its group matches is the place
	advice  string
}

const (
	quoteIt = "put quotes around a text that begins with "
	tabs    = "the line is indented by a tab; YAML takes blanks only"
)

var traps = []trap{
	{"tab character", regexp.MustCompile(`^ *(\t)`), tabs},
	{"cannot start any token", regexp.MustCompile(`^ *(\t)`), tabs},
	{
		"alphabetic or numeric", regexp.MustCompile(`(?:^|[-:?,\[{])\s*(\*(?:[^A-Za-z0-9_-]|$))`),
		quoteIt + `*, as in "*"; without them it is an alias of YAML's`,
	},
	{
		"alphabetic or numeric", regexp.MustCompile(`(?:^|[-:?,\[{])\s*(\*[A-Za-z0-9_-]+[^A-Za-z0-9_\s,\]}-])`),
		quoteIt + `*; without them it is an alias of YAML's`,
	},
	{
		"alphabetic or numeric", regexp.MustCompile(`(?:^|[-:?,\[{])\s*(&)`),
		quoteIt + `&; without them it is an anchor of YAML's`,
	},
	{
		"unknown anchor", regexp.MustCompile(`(?:^|[-:?,\[{])\s*(\*)`),
		"an alias has no anchor; " + quoteIt + "*",
	},
	{"cannot start any token", regexp.MustCompile(`(?:^|[-:?,\[{])\s*([@%` + "`" + `])`), quoteIt + "@, % or `"},
	{
		"mapping values are not allowed", regexp.MustCompile(`^[^"'#]*?:\s+[^"'#{\[\s][^"'#{\[]*?(:)(?:\s|$)`),
		`put quotes around a text with ": " in it, or begin a new line`,
	},
	{
		"mapping values are not allowed", regexp.MustCompile(`^\s*(\S)`),
		"the line is indented further than the one before, or that one lacks a blank after its colon",
	},
	{
		"could not find expected ':'", regexp.MustCompile(`^\s*(\S)`),
		"expected KEY: VALUE, with a colon and a blank",
	},
	{
		"did not find expected key", regexp.MustCompile(`^\s*(\S)`),
		"the line is indented otherwise than those it belongs to",
	},
}

// yamlError returns what is wrong with a text that the parser refuses, and where. It quotes nothing, as any part of it
// may be a secret: even the name of an alias, which is a text that happens to begin with an asterisk.
func yamlError(text []byte, err error) error {
	line, msg := splitLine(err)
	lines := bytes.Split(text, []byte("\n"))
	if n := culprit(lines, line, msg); n > 0 {
		line = n
	}
	for _, t := range traps {
		if !strings.Contains(msg, t.message) {
			continue
		}
		from, to := max(line, 1), max(line, 1)
		if line == 0 { // the parser does not tell
			to = len(lines)
		}
		for n := from; n <= min(to, len(lines)); n++ {
			if m := t.found.FindSubmatchIndex(lines[n-1]); m != nil {
				return parseError(Position{n, 1 + utf8.RuneCount(lines[n-1][:m[2]])}, "YAML: %s", t.advice)
			}
		}
	}
	if strings.HasPrefix(msg, "unknown anchor") {
		msg = "an alias has no anchor; " + quoteIt + "*"
	}
	at := Position{Line: line}
	if 0 < line && line <= len(lines) {
		l := lines[line-1]
		at.Column = 1 + len(l) - len(bytes.TrimLeft(l, " \t"))
	}
	return parseError(at, "YAML: %s", msg)
}

// splitLine takes the line off a message of the parser.
func splitLine(err error) (line int, msg string) {
	msg = strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		line, _ = strconv.Atoi(m[1])
		msg = m[2]
	}
	return line, msg
}

// culprit returns the line at which the parser begins to fail with msg, or 0 if that is not found near the line that it
// gives. The parser often gives the one before, or the one where an object begins.
func culprit(lines [][]byte, line int, msg string) int {
	const most, size = 100, 64 << 10
	n := 0
	for i := max(line-1, 1); i <= min(line+most, len(lines)); i++ {
		part := bytes.Join(lines[:i], []byte("\n"))
		if n += len(part); n > most*size {
			return 0
		}
		if _, m := splitLine(parses(append(part, '\n'))); m == msg {
			return i
		}
	}
	return 0
}

// parses returns the parser's error for a text, or one without words.
func parses(text []byte) error {
	d := yaml.NewDecoder(bytes.NewReader(text))
	for {
		if err := d.Decode(&yaml.Node{}); err != nil {
			return err
		}
	}
}
