package accesslog

import (
	"fmt"
	"iter"
	"net/netip"
	"time"
)

// Entry is what Envoy knows of a stream or connection that it logs. It is valid within the call of Log that it was given
// to, on that goroutine; anywhere else, and after Log has returned, its methods find nothing. What they return is the
// caller's to keep. Each method asks Envoy, so what nobody asks for costs nothing.
type Entry struct {
	source Source
	number uint64
	event  Event
}

// Event tells why Envoy logs now.
func (e Entry) Event() Event { return e.event }

// Text returns a text field, and whether Envoy has a value.
func (e Entry) Text(f TextField) (value string, ok bool) {
	var into [1]string
	e.Texts([]TextField{f}, into[:])
	return into[0], into[0] != ""
}

// Texts asks for several text fields at once, which costs little more than one. It stores them in into, which is as long
// as fields; "" is a field without a value.
func (e Entry) Texts(fields []TextField, into []string) {
	if len(into) != len(fields) {
		panic(fmt.Sprintf("accesslog: Texts of %d fields into %d strings", len(fields), len(into)))
	}
	if e.source == nil {
		clear(into)
		return
	}
	e.source.Texts(e.number, fields, into)
}

// Number returns a number; 0 is also what Envoy tells where it has none.
func (e Entry) Number(f NumberField) uint64 {
	if e.source == nil {
		return 0
	}
	return e.source.Number(e.number, f)
}

// Truth returns a field that is true or false.
func (e Entry) Truth(f TruthField) bool { return e.source != nil && e.source.Truth(e.number, f) }

// Addr returns an address and its port. It is the zero value where there is none, or one of no IP.
func (e Entry) Addr(f AddrField) netip.AddrPort {
	if e.source == nil {
		return netip.AddrPort{}
	}
	text, port := e.source.Addr(e.number, f)
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, port)
}

// List returns names of a certificate, or nil.
func (e Entry) List(f ListField) []string {
	if e.source == nil {
		return nil
	}
	return e.source.List(e.number, f)
}

// Time returns a time, and whether Envoy has it.
func (e Entry) Time(f TimeField) (time.Time, bool) {
	if e.source == nil {
		return time.Time{}, false
	}
	seconds := e.source.Time(e.number, f)
	return time.Unix(seconds, 0), seconds != 0
}

// Flags returns Envoy's response flags.
func (e Entry) Flags() Flags {
	if e.source == nil {
		return 0
	}
	return e.source.Flags(e.number)
}

// NotReached is a duration in [Times] of something that did not happen.
const NotReached = -1 * time.Nanosecond

// Times tell when something happened, as the time since Start. What did not happen is [NotReached].
type Times struct {
	Start time.Time // when the first byte came, or the connection

	End                 time.Duration // of the stream or connection: what %DURATION% prints
	FirstUpstreamSent   time.Duration // first byte of the request to the upstream
	LastUpstreamSent    time.Duration
	FirstUpstreamReply  time.Duration // first byte of the response from the upstream
	LastUpstreamReply   time.Duration
	FirstDownstreamSent time.Duration // first byte of the response to the client
	LastDownstreamSent  time.Duration

	PoolReady time.Duration // how long the request waited for a connection to the upstream
}

// Times returns when what happened; the zero Times without an entry.
func (e Entry) Times() Times {
	if e.source == nil {
		return Times{}
	}
	return e.source.Times(e.number)
}

// Bytes counts what was transferred.
type Bytes struct {
	Received, Sent                         uint64 // from and to the client, bodies alone in HTTP
	UpstreamWireReceived, UpstreamWireSent uint64 // from and to the upstream, with all that the protocol adds
}

// Bytes returns how much was transferred.
func (e Entry) Bytes() Bytes {
	if e.source == nil {
		return Bytes{}
	}
	return e.source.Bytes(e.number)
}

// RequestHeader returns the first value of a request header, by its name in lower case. The pseudo headers are
// ":method", ":path", ":authority" and ":scheme".
func (e Entry) RequestHeader(name string) (string, bool) { return e.header(requestHeaders, name) }

// ResponseHeader returns the first value of a response header, by its name in lower case.
func (e Entry) ResponseHeader(name string) (string, bool) { return e.header(responseHeaders, name) }

// ResponseTrailer returns the first value of a response trailer, by its name in lower case.
func (e Entry) ResponseTrailer(name string) (string, bool) { return e.header(responseTrailers, name) }

// RequestHeaders returns all headers of the request, in Envoy's order, with the pseudo headers.
func (e Entry) RequestHeaders() iter.Seq2[string, string] { return e.headers(requestHeaders) }

// ResponseHeaders returns all headers of the response, with ":status".
func (e Entry) ResponseHeaders() iter.Seq2[string, string] { return e.headers(responseHeaders) }

// ResponseTrailers returns all trailers of the response.
func (e Entry) ResponseTrailers() iter.Seq2[string, string] { return e.headers(responseTrailers) }

// Blocks of headers, as Envoy's envoy_dynamic_module_type_http_header_type numbers them.
const (
	requestHeaders   = 0
	responseHeaders  = 2
	responseTrailers = 3
)

func (e Entry) header(block int, name string) (string, bool) {
	if e.source == nil {
		return "", false
	}
	return e.source.Header(e.number, block, name)
}

func (e Entry) headers(block int) iter.Seq2[string, string] {
	if e.source == nil {
		return func(func(string, string) bool) {}
	}
	all := e.source.Headers(e.number, block)
	return func(yield func(string, string) bool) {
		for _, f := range all {
			if !yield(f.Name, f.Value) {
				return
			}
		}
	}
}

// Metadata returns a value of the dynamic metadata that filters have set: a string, a float64 or a bool. Path is the
// key, or keys of nested structures joined with dots. From Envoy 1.39 on numbers and truths are found, strings from 1.38
// on.
func (e Entry) Metadata(namespace, path string) (value any, ok bool) {
	if e.source == nil {
		return nil, false
	}
	return e.source.Metadata(e.number, namespace, path)
}
