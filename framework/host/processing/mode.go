// Package processing tells which parts of a stream Envoy must send to the server of package extproc. It is apart from the
// server, for programs that generate Envoy's configuration.
package processing

import (
	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/host"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// Mode returns the mode that has Envoy send what is in sends, and nothing else.
func Mode(sends phase.Messages) *modev3.ProcessingMode {
	m := &modev3.ProcessingMode{}
	m.RequestHeaderMode, m.RequestBodyMode, m.RequestTrailerMode = direction(core.Request, sends)
	m.ResponseHeaderMode, m.ResponseBodyMode, m.ResponseTrailerMode = direction(core.Response, sends)
	return m
}

// ModeFor returns the mode that has Envoy send what the plugins implement. It includes the request's headers, which
// phases of the response may read, and with debug those of the response, which the debug view of a chain sees.
func ModeFor(plugins []*filter.Registration, debug bool) *modev3.ProcessingMode {
	sends := phase.Headers(core.Request)
	if debug {
		sends |= phase.Headers(core.Response)
	}
	for _, reg := range plugins {
		sends |= host.Phases(reg).Sends()
	}
	return Mode(sends)
}

func direction(dir core.Direction, sends phase.Messages) (
	headers modev3.ProcessingMode_HeaderSendMode, body modev3.ProcessingMode_BodySendMode,
	trailers modev3.ProcessingMode_HeaderSendMode,
) {
	mode := func(m phase.Messages) modev3.ProcessingMode_HeaderSendMode {
		if sends&m != 0 {
			return modev3.ProcessingMode_SEND
		}
		return modev3.ProcessingMode_SKIP
	}
	if sends&phase.Body(dir) != 0 {
		body = modev3.ProcessingMode_FULL_DUPLEX_STREAMED
	}
	return mode(phase.Headers(dir)), body, mode(phase.Trailers(dir))
}
