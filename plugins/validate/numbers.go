package validate

import (
	"encoding/json"
	"strconv"
	"strings"
)

// What a number may be at most. The library computes with all digits that a number has written out: a few bytes with an
// exponent make hundreds of kilobytes.
const (
	maxNumber   = 400 // bytes
	maxExponent = 400 // either way
)

const tooBig = "a number in the body is too long, or its exponent too large"

// bounded reports whether all numbers in a decoded body are within the bounds.
func bounded(v any) bool {
	switch v := v.(type) {
	case json.Number:
		return boundedNumber(string(v))
	case []any:
		for _, e := range v {
			if !bounded(e) {
				return false
			}
		}
	case map[string]any:
		for _, e := range v {
			if !bounded(e) {
				return false
			}
		}
	}
	return true
}

func boundedNumber(text string) bool {
	if len(text) > maxNumber {
		return false
	}
	i := strings.IndexAny(text, "eE")
	if i < 0 {
		return true
	}
	n, err := strconv.Atoi(text[i+1:])
	return err == nil && n >= -maxExponent && n <= maxExponent
}
