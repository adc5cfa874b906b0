package format

import (
	"math/bits"
	"strconv"
)

// flags are the short names of Envoy's response flags in the order of their bits, in which the documentation of its access
// logs explains them.
var flags = [...]string{
	"LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC", "URX", "SI", "IH",
	"DPE", "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO", "DR", "UDO",
}

// Flags writes response flags as Envoy's access logs do: "UF,URX", or "-" for none. The attribute that hosts hand out
// is a number with one bit for each; anything else is returned as it is.
func Flags(attribute string) string {
	if attribute == "" {
		return ""
	}
	set, err := strconv.ParseUint(attribute, 10, 64)
	if err != nil {
		return attribute
	}
	if set == 0 {
		return "-"
	}
	text := ""
	for ; set != 0; set &= set - 1 {
		if i := bits.TrailingZeros64(set); i < len(flags) {
			text += "," + flags[i]
		} else {
			text += ",bit" + strconv.Itoa(i) // of a later Envoy
		}
	}
	return text[1:]
}
