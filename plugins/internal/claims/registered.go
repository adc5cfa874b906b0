package claims

import (
	"math"
	"slices"
	"strconv"
	"time"
)

// NumericDate reads seconds since 1970, which may have a fraction.
func NumericDate(v []byte) (time.Time, bool) {
	f, err := strconv.ParseFloat(string(v), 64)  // a JSON string has quotes, with which this fails
	if err != nil || f < 0 || f > 253402300799 { // the year 9999
		return time.Time{}, false
	}
	whole, part := math.Modf(f)
	return time.Unix(int64(whole), int64(part*1e9)), true
}

// HasAudience reports whether aud, a string or a list of them, names one of want.
func HasAudience(aud []byte, want []string) bool {
	if one, ok := Str(aud); ok {
		return slices.Contains(want, one)
	}
	list, _ := Elements(aud)
	for _, e := range list {
		if one, ok := Str(e); ok && slices.Contains(want, one) {
			return true
		}
	}
	return false
}
