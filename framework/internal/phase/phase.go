// Package phase is the table of the phases that an HTTP filter may have: the method, its direction, and what Envoy must
// send for it. All that needs to know a phase derives it from here. docs/design.md says how to add one.
package phase

import (
	"reflect"

	"mosn.io/moe/framework/internal/core"
)

// Phase is one of the methods that a handler may have; it indexes [Table].
type Phase uint8

// The phases. Those of a direction stand in the order of the chain's stages: headers, body, trailers, whole message.
const (
	OnRequestHeaders Phase = iota
	OnRequestBody
	OnRequestTrailers
	OnRequest
	OnResponseHeaders
	OnResponseBody
	OnResponseTrailers
	OnResponse
	OnComplete

	// Count is how many phases there are.
	Count = int(iota)
)

// PerDirection is how many phases each direction has.
const PerDirection = int(OnResponseHeaders)

// Messages is a set of the messages of a stream.
type Messages uint32

// The messages, in the order in which they travel; [Headers], [Body] and [Trailers] relate them to directions. Complete
// is the end of the stream, which no message marks.
const (
	RequestHeaders Messages = 1 << iota
	RequestBody
	RequestTrailers
	ResponseHeaders
	ResponseBody
	ResponseTrailers
	Complete
)

const perDirection = 3

// Headers returns the headers of dir.
func Headers(dir core.Direction) Messages { return RequestHeaders << (perDirection * dir) }

// Body returns the body of dir.
func Body(dir core.Direction) Messages { return RequestBody << (perDirection * dir) }

// Trailers returns the trailers of dir.
func Trailers(dir core.Direction) Messages { return RequestTrailers << (perDirection * dir) }

// All returns all messages of dir.
func All(dir core.Direction) Messages { return Headers(dir) | Body(dir) | Trailers(dir) }

// Row says what there is to know of a phase.
type Row struct {
	Method    string         // of the handler
	Direction core.Direction // core.NoDirection for OnComplete

	// Wants is what the chain is entered for. A phase that takes a whole message wants only its headers: a stream comes
	// to want the rest when the plugin holds the headers.
	Wants Messages

	// Sends is what Envoy must send where its configuration must say so ahead (external processing). With a body it includes the
	// headers before it and the trailers that may end it. A plugin that reads the request in a phase of the response
	// also needs the request's headers, which no method shows: `moe extproc` leaves that to the operator
	// (--request-headers), and pkg/istio, which cannot ask, always adds them.
	Sends Messages
}

// The messages that Envoy must send for a body.
const (
	wholeRequest  = RequestHeaders | RequestBody | RequestTrailers
	wholeResponse = ResponseHeaders | ResponseBody | ResponseTrailers
)

// Table has a row for each phase.
var Table = [Count]Row{
	OnRequestHeaders:   {"OnRequestHeaders", core.Request, RequestHeaders, RequestHeaders},
	OnRequestBody:      {"OnRequestBody", core.Request, RequestBody, wholeRequest},
	OnRequestTrailers:  {"OnRequestTrailers", core.Request, RequestTrailers, RequestTrailers},
	OnRequest:          {"OnRequest", core.Request, RequestHeaders, wholeRequest},
	OnResponseHeaders:  {"OnResponseHeaders", core.Response, ResponseHeaders, ResponseHeaders},
	OnResponseBody:     {"OnResponseBody", core.Response, ResponseBody, wholeResponse},
	OnResponseTrailers: {"OnResponseTrailers", core.Response, ResponseTrailers, ResponseTrailers},
	OnResponse:         {"OnResponse", core.Response, ResponseHeaders, wholeResponse},
	OnComplete:         {"OnComplete", core.NoDirection, Complete, ResponseHeaders},
}

// String returns the name of the method.
func (p Phase) String() string {
	if int(p) >= Count {
		return ""
	}
	return Table[p].Method
}

// Whole returns the phase of dir that takes a whole message.
func Whole(dir core.Direction) Phase { return OnRequest + Phase(dir)*Phase(PerDirection) }

// Set is a set of phases.
type Set uint16

// Of returns the phases that values of type t may have, by the names of its methods.
func Of(t reflect.Type) (s Set) {
	for p := range Phase(Count) {
		if _, ok := t.MethodByName(Table[p].Method); ok {
			s |= 1 << p
		}
	}
	return s
}

// SetOf returns the set of phases.
func SetOf(phases ...Phase) (s Set) {
	for _, p := range phases {
		s |= 1 << p
	}
	return s
}

// Has reports whether p is in s.
func (s Set) Has(p Phase) bool { return s&(1<<p) != 0 }

// Without returns s without the phases of which skips, given the method, is true.
func (s Set) Without(skips func(method string) bool) Set {
	for p := range Phase(Count) {
		if s.Has(p) && skips(Table[p].Method) {
			s &^= 1 << p
		}
	}
	return s
}

// Methods returns the names of the phases' methods.
func (s Set) Methods() []string {
	methods := []string{}
	for p := range Phase(Count) {
		if s.Has(p) {
			methods = append(methods, Table[p].Method)
		}
	}
	return methods
}

// Wants returns what the chain is entered for.
func (s Set) Wants() (m Messages) {
	for p := range Phase(Count) {
		if s.Has(p) {
			m |= Table[p].Wants
		}
	}
	return m
}

// Sends returns what Envoy must send where its configuration must say so ahead.
func (s Set) Sends() (m Messages) {
	for p := range Phase(Count) {
		if s.Has(p) {
			m |= Table[p].Sends
		}
	}
	return m
}
