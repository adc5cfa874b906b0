package redisguard

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// parser follows the commands of a client: arrays of bulk strings, and inline commands
// (https://redis.io/docs/latest/develop/reference/protocol-spec/). It holds no more than the head of a command: what comes
// behind the name and the first argument is passed or dropped as it comes.
type parser struct {
	args int  // arguments of the command under way that are yet to begin
	rest int  // bytes of the argument under way that are yet to come, with its line end
	drop bool // the command under way was refused

	scanned int // bytes of an inline command that have no line end, and are held
}

// Bounds of what a command's head may be.
const (
	maxInline = 64 << 10 // Redis's own: PROTO_INLINE_MAX_SIZE
	maxHeader = 32       // of a line with a number
	maxName   = 64       // of a command, or of the first argument where that is looked at
)

var (
	errRefused   = errors.New("the command is refused")
	errMalformed = errors.New("protocol error")
)

// feed takes bytes, and asks permit about each command. It returns those that pass, and how many at the end are to be
// given again, in front of those that follow.
func (p *parser) feed(in []byte, g *RedisGuard, permit func(command, sub string) bool) (out []byte, held int, err error) {
	for len(in) > 0 {
		n, head := 0, []byte(nil)
		switch {
		case p.rest > 0: // within an argument
			n = min(p.rest, len(in))
			p.rest -= n
		case p.args > 0: // between two
			size, length, err := number(in, '$')
			switch {
			case err != nil:
				return nil, 0, err
			case length == 0:
				return out, len(in), nil
			case size > int(g.MaxArgument):
				return nil, 0, errMalformed
			}
			p.args--
			p.rest = size + 2
			n = length
		default:
			c, err := p.begin(in, g)
			switch {
			case err != nil:
				return nil, 0, err
			case c.length == 0:
				return out, len(in), nil
			}
			p.drop = c.name != "" && !permit(c.name, c.sub)
			if p.drop {
				if g.Close {
					return nil, 0, errRefused
				}
				head = []byte(refusal)
			}
			p.args, p.rest, n = c.args, 0, c.length
		}
		out = append(out, head...)
		if !p.drop {
			out = append(out, in[:n]...)
		}
		in = in[n:]
		if p.args == 0 && p.rest == 0 {
			p.drop = false
		}
	}
	return out, 0, nil
}

// command is the head of one.
type command struct {
	name, sub string // upper case; no name: an empty line, which Redis skips
	args      int    // how many arguments follow the head
	length    int    // of the head in bytes; 0: more must come
}

// begin reads the head of a command: its name, and its first argument if there is one that is short.
func (p *parser) begin(in []byte, g *RedisGuard) (c command, err error) {
	if in[0] != '*' {
		return p.inline(in, g)
	}
	args, at, err := number(in, '*')
	switch {
	case err != nil || at == 0:
		return c, err
	case args == 0:
		return command{length: at}, nil
	case args > g.MaxArguments:
		return c, errMalformed
	}
	name, length, _, err := argument(in[at:])
	if err != nil || length == 0 {
		return c, err
	}
	if !plain(name) {
		return c, errMalformed
	}
	at += length
	c = command{name: name, args: args - 1}
	if args > 1 {
		sub, length, long, err := argument(in[at:])
		switch {
		case err != nil && !long:
			return command{}, err
		case long && g.twoWords[name]: // a NUL in it could end a subcommand
			return command{}, errMalformed
		case long: // a key or a value
		case length == 0:
			return command{}, nil
		case g.twoWords[name] && !plain(sub):
			return command{}, errMalformed
		default:
			c.sub, c.args = sub, c.args-1
			at += length
		}
	}
	c.length = at
	return c, nil
}

// plain reports whether a word is of visible ASCII alone. Redis compares names as C does, up to a NUL: it takes
// FLUSHALL, a NUL and anything for FLUSHALL.
func plain(word string) bool {
	for i := range len(word) {
		if word[i] < 0x21 || word[i] > 0x7e {
			return false
		}
	}
	return word != ""
}

// upper is strings.ToUpper for ASCII alone, as Redis's own.
func upper(word []byte) string {
	b := bytes.Clone(word)
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// argument reads a bulk string of at most maxName bytes, in upper case. length is 0 where more must come; long, with an
// error, tells that it is a longer one.
func argument(in []byte) (text string, length int, long bool, err error) {
	if len(in) == 0 {
		return "", 0, false, nil
	}
	size, at, err := number(in, '$')
	switch {
	case err != nil || at == 0:
		return "", 0, false, err
	case size > maxName:
		return "", 0, true, errMalformed
	case len(in) < at+size+2:
		return "", 0, false, nil
	case in[at+size] != '\r' || in[at+size+1] != '\n':
		return "", 0, false, errMalformed
	}
	return upper(in[at : at+size]), at + size + 2, false, nil
}

// number reads a line of a number after a mark. length is 0 where more must come.
func number(in []byte, mark byte) (n, length int, err error) {
	if in[0] != mark {
		return 0, 0, errMalformed
	}
	end := bytes.IndexByte(in, '\n')
	switch {
	case end < 0 && len(in) < maxHeader:
		return 0, 0, nil
	case end < 2 || end >= maxHeader || in[end-1] != '\r':
		return 0, 0, errMalformed
	}
	digits := string(in[1 : end-1])
	n, err = strconv.Atoi(digits)
	if err != nil || n < 0 || n > 1<<30 || strconv.Itoa(n) != digits {
		return 0, 0, errMalformed
	}
	return n, end + 1, nil
}

// inline reads a command in the form of a line of words. One with quotes is refused, since Redis reads those by rules of its
// own.
func (p *parser) inline(in []byte, g *RedisGuard) (c command, err error) {
	end := bytes.IndexByte(in[p.scanned:], '\n')
	if end < 0 {
		if len(in) > maxInline {
			return c, errMalformed
		}
		p.scanned = len(in)
		return c, nil
	}
	end += p.scanned
	p.scanned = 0
	if end > maxInline || bytes.ContainsAny(in[:end], "\"'\\\x00") {
		return c, errMalformed
	}
	words := strings.FieldsFunc(upper(in[:end]), func(r rune) bool { return r == ' ' || r >= '\t' && r <= '\r' })
	c.length = end + 1
	if len(words) > 0 {
		c.name = words[0]
	}
	if len(words) > 1 {
		c.sub = words[1]
	}
	if len(words) > 0 && !plain(c.name) || g.twoWords[c.name] && len(words) > 1 && !plain(c.sub) {
		return command{}, errMalformed
	}
	return c, nil
}
