package network

import "context"

// Action is what a method of a filter decides. It is an immutable value, which may be kept and returned many times. The
// zero Action is [Continue].
type Action struct {
	kind   kind
	n      int
	reason string
	run    func(context.Context) Action
	pipe   func(ctx context.Context, client, upstream Peer) error
}

type kind uint8

const (
	actContinue kind = iota
	actDone
	actDoneAll
	actPass
	actGo
	actPipe
	actClose
	actReset
)

var (
	// Continue passes on what the method was given.
	Continue = Action{}

	// Done is Continue, and the filter wants nothing more of this direction: OnRead or OnWrite is not called again, and
	// bytes no longer enter Go. From OnConnection it is about both directions.
	Done = Action{kind: actDone}

	// DoneAll is Done for both directions.
	DoneAll = Action{kind: actDoneAll}

	// Hold keeps all bytes until more have come; the method is then called with both. It is Pass(0).
	Hold = Action{kind: actPass}
)

// Pass passes the first n bytes on and holds the rest, as [Hold] does. What a filter holds is bounded by the
// listener's per_connection_buffer_limit_bytes (1 MiB unless configured); a filter that wants more than that, or that
// holds bytes at the end of the stream, closes the connection.
func Pass(n int) Action { return Action{kind: actPass, n: n} }

// Go ends the method later: the framework runs f on a goroutine of its own, and what f returns is the method's action.
// Meanwhile its direction stands still, and after OnConnection both do; bytes that come are kept. Envoy stops reading
// from a client that sends more than the buffer limit; more than [MaxWaiting] from the upstream, which Envoy does not
// stop for a filter, closes the connection.
//
// ctx is cancelled when the connection ends. A panic in f is one in the method. Where f does not return within
// [GoTimeout], the connection is closed.
func Go(f func(ctx context.Context) Action) Action { return Action{kind: actGo, run: f} }

// Close closes the connection, after what was injected before has been written. What the method was given goes no
// further. reason is for logs: Envoy's connection termination details are "moe.NAME: " and the reason.
func Close(reason string) Action { return Action{kind: actClose, reason: reason} }

// Reset is Close that drops what is yet to be written, and sends the client a TCP reset.
func Reset(reason string) Action { return Action{kind: actReset, reason: reason} }
