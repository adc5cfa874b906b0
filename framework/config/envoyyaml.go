package config

import (
	"encoding/json"
	"math"
	"regexp"
	"strconv"
)

var plainNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

// fromEnvoyYAML undoes what Envoy's YAML loader does to numbers inside a google.protobuf.Struct: it keeps those that
// fit into an int32 and hands over every other one, 0.5 and 5000000000 alike, as a string. Where a number is expected,
// such a string is one; "5" is not, because Envoy would have kept it, so somebody has put it in quotes.
func fromEnvoyYAML(v any) any {
	s, ok := v.(string)
	if !ok || !plainNumber.MatchString(s) {
		return v
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= math.MinInt32 && n <= math.MaxInt32 {
		return v
	}
	return json.Number(s)
}
