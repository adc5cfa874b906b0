package core

import (
	"log/slog"
	"net/http"
)

// Host is what a host provides for one stream. Its methods are called with Stream.Mu released, from any goroutine; off
// the stream's thread they may wait for it. After the stream's end they return ErrStreamDone.
type Host interface {
	Attribute(name string) (string, error)
	// Metadata and SetMetadata use string, bool, float64, []any and map[string]any; SetMetadata also takes integers.
	Metadata(namespace, key string) (any, error)
	SetMetadata(namespace, key string, value any) error
	FilterState(key string) (string, error)
	SetFilterState(key, value string) error
	ClearRouteCache() error
	SetUpstreamHost(addr string, strict bool) error
	// Secret returns the present value of a generic secret; "" is none.
	Secret(name string) (string, error)
	// Fetch returns the fields of a block whose bit is set in Stream.Remote; nil when the stream is gone.
	Fetch(block int) []Field
	// BufferLimit is how many bytes of body this stream may hold back in one direction; 0 is unlimited.
	BufferLimit() int
	// Escaped is called once, before a goroutine other than the stream's may use the stream for the first time (its
	// context was asked for, or a function of Go or Pipe runs), so that the host prepares for Post.
	Escaped()
}

// RouteTeller is a Host that can say for each line of the log which route its stream has.
type RouteTeller interface {
	// RouteName returns the name of the route. It does not wait: "" also means that only a wait could tell.
	RouteName() string
}

// Sink takes what leaves the chain. All but Post are called on the stream's thread, from within a call into the chain
// or a function given to Post.
type Sink interface {
	// Headers passes the headers of dir on; they are in Stream.H. For a reply of the chain's own (chain.Stream.Replied)
	// dir is Response and the block is the whole reply.
	Headers(dir Direction, endStream bool)
	// Data passes a chunk on. p is Go's and the host's to keep until the call returns.
	Data(dir Direction, p []byte, endStream bool)
	// Trailers passes the trailers of dir on and ends the stream in that direction.
	Trailers(dir Direction)
	// Reset ends the stream abruptly.
	Reset(reason string)
	// Post runs f on the stream's thread, soon; it drops f when the stream is gone. Any goroutine may call it.
	Post(f func())
}

// ConfigHost is what a host provides for one configuration.
type ConfigHost interface {
	Name() string         // as the docs call the host: "dynmod", "golang", "extproc", "filtertest"
	Capabilities() uint32 // bits of filter.Capability
	Transport(cluster string) (http.RoundTripper, error)
	Log() slog.Handler // to the host's own log; it is asked whether a level is enabled before anything is formatted
}

// SecretLister is a ConfigHost that has more to say than its capabilities do about documents that list generic secrets.
type SecretLister interface {
	// MayListSecrets returns why they may not, or nil.
	MayListSecrets() error
}

// PhaseMeasurer is a [ConfigHost] that may want calls of phases to be counted where a document says nothing about it.
type PhaseMeasurer interface {
	MeasuresPhases() bool
}
