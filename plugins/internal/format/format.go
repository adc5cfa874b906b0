// Package format fills in text with what is known of a stream, in the language of Envoy's substitution formatter:
// "%REQ(x-user?:authority):10%". It is compiled once, from the configuration.
package format

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mosn.io/moe/framework/filter"
)

// Format is compiled text. A nil or zero one is empty.
type Format struct {
	parts []part
	start bool // START_TIME is among them
}

// part is literal text, or what get returns, cut to max bytes. get returns "" for what is not there.
type part struct {
	text string
	get  func(filter.Stream) string
	max  int
	from []string // see Append
}

// command makes the getter of a %COMMAND(argument)%.
type command struct {
	argument use
	length   bool // :LENGTH may follow
	make     func(argument string) (func(filter.Stream) string, error)
}

type use uint8

const (
	forbidden use = iota
	optional
	required
)

// Parse compiles text. An error tells the position in bytes, from 0, and not the text, which may hold a credential.
func Parse(text string) (*Format, error) {
	f := &Format{}
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			f.parts = append(f.parts, part{text: literal.String()})
			literal.Reset()
		}
	}
	for pos := 0; pos < len(text); {
		switch {
		case text[pos] != '%':
			end := strings.IndexByte(text[pos:], '%')
			if end < 0 {
				end = len(text) - pos
			}
			literal.WriteString(text[pos : pos+end])
			pos += end
		case strings.HasPrefix(text[pos:], "%%"):
			literal.WriteByte('%')
			pos += 2
		default:
			p, n, err := parseCommand(text[pos:])
			if err != nil {
				return nil, fmt.Errorf("position %d: %w", pos, err)
			}
			if p.get == nil { // known for good
				literal.WriteString(p.cut(p.text))
			} else {
				flush()
				f.parts = append(f.parts, p)
			}
			f.start = f.start || strings.Contains(text[pos:pos+n], "START_TIME")
			pos += n
		}
	}
	flush()
	return f, nil
}

// parseCommand reads the command at the start of s and returns how long it is.
func parseCommand(s string) (part, int, error) {
	i := 1
	for i < len(s) && (s[i] >= 'A' && s[i] <= 'Z' || s[i] >= '0' && s[i] <= '9' || s[i] == '_') {
		i++
	}
	name, argument, has := s[1:i], "", false
	// The argument ends at the first ")" that the rest of a command follows, so that it may hold "%" and ")".
	tail, n := parseTail(s[i:])
	if i < len(s) && s[i] == '(' {
		has, n = true, -1
		for j := i + 1; j < len(s) && n < 0; j++ {
			if s[j] == ')' {
				if tail, n = parseTail(s[j+1:]); n >= 0 {
					argument, n = s[i+1:j], n+j+1-i
				}
			}
		}
	}
	if name == "" || n < 0 {
		return part{}, 0, fmt.Errorf("not a command like %%NAME%%, %%NAME(ARGUMENT)%% or %%NAME(ARGUMENT):LENGTH%%; " +
			"a plain per cent sign is written %%%%")
	}
	var length *int
	if tail != "" {
		most, err := strconv.Atoi(tail)
		if err != nil {
			return part{}, 0, fmt.Errorf("%s: the length %s is too large", name, tail)
		}
		length = &most
	}
	p, err := newPart(name, argument, has, length)
	return p, i + n, err
}

// newPart compiles a command. has is whether it has an argument, which may be empty.
func newPart(name, argument string, has bool, length *int) (part, error) {
	c, ok := commands[name]
	switch {
	case !ok:
		return part{}, fmt.Errorf("unknown command %s; known are %s", name, strings.Join(Known(), ", "))
	case c.argument == required && argument == "":
		return part{}, fmt.Errorf("%s needs an argument: %%%s(…)%%", name, name)
	case c.argument == forbidden && has:
		return part{}, fmt.Errorf("%s takes no argument", name)
	case !c.length && length != nil:
		return part{}, fmt.Errorf("%s takes no length", name)
	}
	p := part{max: -1}
	if length != nil {
		p.max = max(*length, 0)
	}
	var err error
	if p.get, err = c.make(argument); err != nil {
		return part{}, fmt.Errorf("%s: %w", name, err)
	}
	p.from = sources(name, argument)
	if c.constant() {
		p.text, p.get = p.cut(p.get(filter.Stream{})), nil
	}
	return p, nil
}

// parseTail reads the "%" or ":LENGTH%" that ends a command; n is -1 where there is neither.
func parseTail(s string) (length string, n int) {
	if strings.HasPrefix(s, "%") {
		return "", 1
	}
	if !strings.HasPrefix(s, ":") {
		return "", -1
	}
	i := 1
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	if i == 1 || i == len(s) || s[i] != '%' {
		return "", -1
	}
	return s[1:i], i + 1
}

// Known returns the names of all commands, sorted.
func Known() []string { return slices.Sorted(maps.Keys(commands)) }

func (p *part) cut(v string) string {
	if p.max >= 0 && len(v) > p.max {
		return v[:p.max]
	}
	return v
}

// Constant reports whether the text is the same for every stream.
func (f *Format) Constant() bool {
	return f == nil || len(f.parts) == 0 || len(f.parts) == 1 && f.parts[0].get == nil
}

// Of fills in the text for a stream. What is not known is empty. It allocates only where several parts are joined.
func (f *Format) Of(s filter.Stream) string {
	if f == nil || len(f.parts) == 0 {
		return ""
	}
	if len(f.parts) == 1 {
		return f.parts[0].of(s)
	}
	var room [256]byte
	b := room[:0]
	for i := range f.parts {
		b = append(b, f.parts[i].of(s)...)
	}
	return string(b)
}

// Append appends the text for a stream, with each value as show returns it, before it is cut. from says from which places of
// the messages, which may hold credentials, the value is: names of headers in lower case, :path included, and "?NAME" for a
// parameter of the query. Literal text is not shown to show.
func (f *Format) Append(b []byte, s filter.Stream, show func(value string, from []string) string) []byte {
	if f == nil {
		return b
	}
	for i := range f.parts {
		p := &f.parts[i]
		if p.get == nil {
			b = append(b, p.text...)
			continue
		}
		b = append(b, p.cut(show(p.get(s), p.from))...)
	}
	return b
}

// sources returns the places from which a command takes its value.
func sources(name, argument string) []string {
	switch name {
	case "REQ", "REQUEST_HEADER", "RESP", "RESPONSE_HEADER", "TRAILER", "RESPONSE_TRAILER":
		return strings.Split(strings.ToLower(argument), "?")
	case "COALESCE":
		return coalesced(argument)
	case "PATH":
		return []string{":path"}
	case "QUERY_PARAMS":
		return []string{"?"}
	case "QUERY_PARAM":
		return []string{"?" + argument}
	}
	return nil
}

func (p *part) of(s filter.Stream) string {
	if p.get == nil {
		return p.text
	}
	return p.cut(p.get(s))
}
