package accesslog

import "strings"

// Flags tell what went wrong with a stream or connection: Envoy's response flags, one bit each.
type Flags uint64

// flagNames are what %RESPONSE_FLAGS% prints, in the order of Envoy's CoreResponseFlag.
var flagNames = [...]string{
	"LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC", "URX", "SI", "IH", "DPE",
	"UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO", "DR", "UDO",
}

// Has reports whether the flag of that name is set, such as "UH" for no healthy upstream. The names are those of
// %RESPONSE_FLAGS%, https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage. One that
// is not known is not set.
func (f Flags) Has(name string) bool {
	for i, n := range flagNames {
		if n == name {
			return f&(1<<i) != 0
		}
	}
	return false
}

// String lists the flags that are set, as %RESPONSE_FLAGS% does: "UF,URX", or "" for none.
func (f Flags) String() string {
	var names []string
	for i, n := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, ",")
}
