// Package host tells what the hosts can do, for programs that generate configurations for them without being one.
package host

import (
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// What plugins may need of a host; docs/hosts.md has it as a table.
const (
	// Dynmod is for package dynmod. Secrets needs Envoy 1.40; in an older one the host has all the rest.
	Dynmod = filter.CanCallout | filter.CanUseFilterState | filter.CanSetUpstreamHost | filter.CanClearRouteCache | filter.CanRecordHistogram |
		filter.CanSetMetadata | filter.CanStreamReply | filter.CanReadSecret
	// Golang is for package golang in an Envoy that has the Golang filter itself.
	Golang = filter.CanUseFilterState | filter.CanSetUpstreamHost | filter.CanClearRouteCache | filter.CanRecordHistogram | filter.CanSetMetadata |
		filter.CanPipePromptly | filter.CanReadSecret
	// Bridge is for package golang in a stock Envoy with the bridge: Envoy lets a dynamic module send on what it has only
	// when something comes in.
	Bridge = Golang &^ filter.CanPipePromptly
	// ExtProc is for package extproc.
	ExtProc = filter.CanClearRouteCache | filter.CanRecordHistogram | filter.CanSetMetadata | filter.CanPipePromptly
)

// ExtProcConfigKey is the gRPC initial metadata in which Envoy hands a stream's document, as JSON or YAML, to the server
// of package extproc.
const ExtProcConfigKey = "moe-config"

// ExtProcStagesKey is the gRPC initial metadata by which Envoy has the server of package extproc run the plugins of some
// stages alone, with commas between their names; see the document's stages.
const ExtProcStagesKey = "moe-stages"

// PartNamespace is the namespace of dynamic metadata in which filters that divide a chain by its stages tell the next what they
// have found out; ext_proc must forward and receive it.
const PartNamespace = core.PartNamespace
