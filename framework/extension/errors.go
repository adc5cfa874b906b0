package extension

import "mosn.io/moe/framework/internal/core"

// Errors of a host or a stream.
var (
	ErrStreamDone  = core.ErrStreamDone  // the stream has ended
	ErrUnsupported = core.ErrUnsupported // this host cannot; docs/hosts.md says which can
	ErrNotFound    = core.ErrNotFound    // there is no such attribute, metadata, filter state or secret
)
