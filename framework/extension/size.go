package extension

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes in a configuration: a number, or text such as "10MiB". KiB, MiB, GiB and TiB are powers of
// 1024, and kB (also KB), MB, GB and TB of 1000; "B" or nothing is bytes. A size is a whole number and not negative.
type Size int64

var errSize = errors.New(`expected a size such as "64KiB", "10MiB" or "1MB"`)

// units are tried in this order, so that "KiB" is not taken for "B".
var units = []struct {
	name string
	n    int64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"kB", 1e3},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"B", 1},
	{"", 1},
}

// ParseSize reads a size as [Size] describes it. Its error does not quote text.
func ParseSize(text string) (Size, error) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		digits = strings.TrimSuffix(digits, " ")
		if strings.Trim(digits, "0123456789") != "" {
			return 0, errSize
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n > math.MaxInt64/u.n {
			return 0, errSize
		}
		return Size(n * u.n), nil
	}
	return 0, errSize
}

// UnmarshalText is [ParseSize].
func (s *Size) UnmarshalText(text []byte) error {
	n, err := ParseSize(string(text))
	if err == nil {
		*s = n
	}
	return err
}

// String writes s with the largest binary unit that divides it, such as "10MiB".
func (s Size) String() string {
	for i := 3; i >= 0; i-- {
		if u := units[i]; s != 0 && int64(s)%u.n == 0 {
			return strconv.FormatInt(int64(s)/u.n, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// MarshalText is [Size.String].
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
