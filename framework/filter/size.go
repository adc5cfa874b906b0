package filter

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size in a configuration: a number of bytes, or text such as "10MiB". KiB, MiB, GiB and TiB are powers of
// 1024, and kB (also KB), MB, GB and TB of 1000; "B" or nothing is bytes. A size is a whole number and not negative.
type Bytes int64

var errBytes = errors.New(`expected a size such as "64KiB", "10MiB" or "1MB"`)

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

// ParseBytes reads a size as [Bytes] describes it. Its error does not quote text.
func ParseBytes(text string) (Bytes, error) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		digits = strings.TrimSuffix(digits, " ")
		if strings.Trim(digits, "0123456789") != "" {
			return 0, errBytes
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n > math.MaxInt64/u.n {
			return 0, errBytes
		}
		return Bytes(n * u.n), nil
	}
	return 0, errBytes
}

// UnmarshalText is [ParseBytes].
func (b *Bytes) UnmarshalText(text []byte) error {
	n, err := ParseBytes(string(text))
	if err == nil {
		*b = n
	}
	return err
}

// String writes b with the largest binary unit that divides it, as "10MiB".
func (b Bytes) String() string {
	for i := 3; i >= 0; i-- {
		if u := units[i]; b != 0 && int64(b)%u.n == 0 {
			return strconv.FormatInt(int64(b)/u.n, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

// MarshalText is [Bytes.String].
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }
