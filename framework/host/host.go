// Package host tells what the hosts can do that run in Envoy's process, for programs that are no host and need no cgo.
package host

import "mosn.io/moe/framework/filter"

// What plugins may need of a host; docs/hosts.md has it as a table.
const (
	// Dynmod is for package dynmod. Secrets needs Envoy 1.40; in an older one the host has all the rest.
	Dynmod = filter.CanCallout | filter.CanUseFilterState | filter.CanSetUpstreamHost | filter.CanClearRouteCache | filter.CanRecordHistogram |
		filter.CanSetMetadata | filter.CanStreamReply | filter.CanReadSecret
	// Golang is for package golang.
	Golang = filter.CanUseFilterState | filter.CanSetUpstreamHost | filter.CanClearRouteCache | filter.CanRecordHistogram | filter.CanSetMetadata |
		filter.CanPipePromptly | filter.CanReadSecret
)
