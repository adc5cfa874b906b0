// Package extproc runs chains of plugins out of process, behind Envoy's HTTP filter ext_proc: a gRPC server of the
// service envoy.service.ext_proc.v3.ExternalProcessor that translates between its messages and package chain.
//
// # Threads
//
// Each gRPC stream is one HTTP stream and has one goroutine, on which all calls into the chain are made. It reads the
// messages itself until something else may use the stream (a function of Go or Pipe, or whoever asked for the context);
// from then on a second goroutine reads, and the first one chooses between messages and what was posted.
//
// # Body modes
//
// Envoy tells in its first message which body modes it uses. In FULL_DUPLEX_STREAMED, the mode to prefer, headers, body
// and trailers may be held for as long as a plugin wants and leave in any sizes. In all other modes Envoy waits, with a
// timeout, for one answer to each message. A plugin that needs the body whole then needs BUFFERED, or BUFFERED_PARTIAL
// for bodies that fit; in STREAMED and NONE such a stream is answered with 500 and the log says which mode to set, or
// the configuration is refused, where Options tell the modes ahead.
package extproc

import (
	"log/slog"
	"time"

	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"

	"mosn.io/moe/framework/host"
	"mosn.io/moe/framework/internal/logs"
	"mosn.io/moe/framework/telemetry"
)

func init() { telemetry.Install() }

// Name is how plugins and docs call this host.
const Name = "extproc"

// Capabilities are what plugins may need of this host.
const Capabilities = host.ExtProc

// Keys of the gRPC initial metadata by which Envoy chooses a stream's chain.
const (
	// RouteKey names a route of the configuration.
	RouteKey = "moe-route"
	// ConfigKey has a route's document itself, as JSON or YAML.
	ConfigKey = host.ExtProcConfigKey
	// StagesKey lists the stages whose plugins run.
	StagesKey = host.ExtProcStagesKey
)

// Options refine a server. Zero values are defaults.
type Options struct {
	// Log takes what plugins and the server log. Default: slog's.
	Log slog.Handler
	// BodyMode is what the bodies' mode is taken for where Envoy does not tell: for Envoys older than 1.36. Default:
	// FULL_DUPLEX_STREAMED.
	BodyMode modev3.ProcessingMode_BodySendMode
	// Modes are Envoy's, where they are known ahead. Then a configuration is refused whose plugins need a whole body that
	// Envoy does not send, as [Server.Fits] describes it; otherwise such streams are answered with 500. Default: nil.
	Modes *modev3.ProcessingMode
	// EarlyBodies tells, beside Modes, that Envoy's send_body_without_waiting_for_header_response is set.
	EarlyBodies bool
	// ModeOverride tells that Envoy's allow_mode_override is set. Then a plugin may have the body mode raised to
	// BUFFERED. To lower modes is tried in any case, where Envoy's configuration lets that be understood.
	ModeOverride bool
	// MessageTimeout is Envoy's message_timeout: half of it after a message that a plugin cannot answer yet, the server
	// asks for more time. Default: 200 ms, as Envoy's.
	MessageTimeout time.Duration
	// MaxMessageTimeout is Envoy's max_message_timeout, which is what it is asked for. 0 never asks.
	MaxMessageTimeout time.Duration
	// FirstMessage bounds how long a stream may say nothing at its beginning. Default: 10 s.
	FirstMessage time.Duration

	// MaxStreams bounds the concurrent streams of one connection. Default: 0, no bound.
	MaxStreams uint32
	// MaxMessage is how many bytes one message may have. Default: 16 MiB.
	MaxMessage int
	// BufferLimit is how many bytes of body a stream may hold back in one direction. Default: 1 MiB.
	BufferLimit int
	// TotalLimit is how many bytes of body all streams may hold back together; streams that would exceed it are answered
	// with 503. Default: 1 GiB.
	TotalLimit int64

	// Registry collects metrics. Default: one for the whole process, see [DefaultRegistry].
	Registry *Registry
}

func (o *Options) defaults() {
	if o.Log == nil {
		o.Log = slog.Default().Handler()
	}
	o.Log = logs.Tee(o.Log)
	if o.BodyMode == modev3.ProcessingMode_NONE {
		o.BodyMode = modev3.ProcessingMode_FULL_DUPLEX_STREAMED
	}
	orElse(&o.MessageTimeout, 200*time.Millisecond)
	orElse(&o.FirstMessage, 10*time.Second)
	orElse(&o.MaxMessage, 16<<20)
	orElse(&o.BufferLimit, 1<<20)
	orElse(&o.TotalLimit, 1<<30)
	if o.Registry == nil {
		o.Registry = DefaultRegistry
	}
}

func orElse[T comparable](v *T, other T) {
	var zero T
	if *v == zero {
		*v = other
	}
}
