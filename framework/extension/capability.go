package extension

import "strings"

// Capability is something that not every host can do, or a set of such things. The table of hosts in docs/hosts.md says
// which host has which.
type Capability uint32

// The capabilities.
const (
	CanCallout         Capability = 1 << iota // Env.Transport: HTTP over Envoy's clusters
	CanUseFilterState                         // read and write Envoy's filter state
	CanSetUpstreamHost                        // choose the host of the cluster
	CanClearRouteCache                        // have the route chosen again
	CanRecordHistogram                        // Env.Histogram in the host's statistics
	CanSetMetadata                            // dynamic metadata that other filters and access logs see
	CanStreamReply                            // reply from a reader without a complete copy in memory
	CanPipePromptly                           // pass on what a pipe has written before its next Read
	CanReadSecret                             // Envoy's generic secrets
)

var capabilityNames = []string{
	"CanCallout", "CanUseFilterState", "CanSetUpstreamHost", "CanClearRouteCache", "CanRecordHistogram", "CanSetMetadata",
	"CanStreamReply", "CanPipePromptly", "CanReadSecret",
}

// String lists the names of the capabilities, joined by "|".
func (c Capability) String() string {
	var s []string
	for i, n := range capabilityNames {
		if c&(1<<i) != 0 {
			s = append(s, n)
		}
	}
	return strings.Join(s, "|")
}
