package format

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
)

// started holds when a stream began, for START_TIME.
var started = filter.NewKey[time.Time]("format.start")

// Start notes that s begins now, if no plugin has said so. Without it START_TIME is when it is first asked for.
func Start(s filter.Stream) time.Time {
	t, ok := started.Get(s)
	if !ok {
		t = time.Now()
		started.Set(s, t)
	}
	return t
}

// NeedsStart reports whether Start should be called as early as possible.
func (f *Format) NeedsStart() bool {
	return f != nil && f.start
}

const defaultTime = "%Y-%m-%dT%H:%M:%S.%3fZ"

func startTime(local bool) func(string) (getter, error) {
	return timeCommand(local, Start)
}

func emitTime(local bool) func(string) (getter, error) {
	return timeCommand(local, func(filter.Stream) time.Time { return time.Now() })
}

func timeCommand(local bool, at func(filter.Stream) time.Time) func(string) (getter, error) {
	return func(pattern string) (getter, error) {
		if pattern == "" {
			pattern = defaultTime
			if local {
				pattern = strings.TrimSuffix(pattern, "Z") + "%z"
			}
		}
		verbs, err := parseTime(pattern)
		if err != nil {
			return nil, err
		}
		return func(s filter.Stream) string {
			t := at(s)
			if !local {
				t = t.UTC()
			}
			var room [64]byte
			b := room[:0]
			for _, v := range verbs {
				b = v(b, t)
			}
			return string(b)
		}, nil
	}
}

// verb appends its part of a time.
type verb func(b []byte, t time.Time) []byte

// layouts are the verbs of strftime that package time has a layout for.
var layouts = map[byte]string{
	'Y': "2006", 'y': "06", 'm': "01", 'b': "Jan", 'h': "Jan", 'B': "January", 'd': "02", 'e': "_2", 'j': "002",
	'a': "Mon", 'A': "Monday", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'z': "-0700", 'Z': "MST",
	'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04", 'D': "01/02/06", 'c': "Mon Jan _2 15:04:05 2006",
}

// parseTime compiles a pattern of strftime with Envoy's additions: %s, seconds since 1970; %f, nine digits of the
// second's fraction; %3f, three of them.
func parseTime(pattern string) ([]verb, error) {
	var verbs []verb
	literal := func(s string) {
		verbs = append(verbs, func(b []byte, _ time.Time) []byte { return append(b, s...) })
	}
	for pattern != "" {
		i := strings.IndexByte(pattern, '%')
		if i < 0 {
			i = len(pattern)
		}
		if i > 0 {
			if strings.ContainsAny(pattern[:i], "\r\n\x00") {
				return nil, fmt.Errorf("a time cannot contain a line break")
			}
			literal(pattern[:i])
			pattern = pattern[i:]
			continue
		}
		digits := 9
		rest := pattern[1:]
		if rest != "" && rest[0] >= '1' && rest[0] <= '9' {
			digits, rest = int(rest[0]-'0'), rest[1:]
			if rest == "" || rest[0] != 'f' {
				return nil, fmt.Errorf("a digit in a time must be followed by f, for example %%3f")
			}
		}
		if rest == "" {
			return nil, fmt.Errorf("a time cannot end in a single %%")
		}
		switch c := rest[0]; {
		case c == 'f':
			verbs = append(verbs, func(b []byte, t time.Time) []byte {
				n := strconv.Itoa(1_000_000_000 + t.Nanosecond())
				return append(b, n[1:1+digits]...)
			})
		case c == 's':
			verbs = append(verbs, func(b []byte, t time.Time) []byte { return strconv.AppendInt(b, t.Unix(), 10) })
		case c == '%':
			literal("%")
		case c == 'n' || c == 't':
			return nil, fmt.Errorf("a time cannot contain a line break or a tab")
		case layouts[c] != "":
			layout := layouts[c]
			verbs = append(verbs, func(b []byte, t time.Time) []byte { return t.AppendFormat(b, layout) })
		default:
			return nil, fmt.Errorf("unknown %%%c in a time", c)
		}
		pattern = rest[1:]
	}
	return verbs, nil
}
