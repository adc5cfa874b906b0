package listener

import "context"

// Action is what a method of a filter decides. It is an immutable value, which may be kept and returned many times. The
// zero Action is [Continue].
type Action struct {
	kind        kind
	least, most int
	reason      string
	run         func(context.Context) Action
}

type kind uint8

const (
	actContinue kind = iota
	actPeek
	actDrain
	actGo
	actRefuse
)

// Continue has the connection go on, to the next listener filter or to its filter chain.
var Continue = Action{}

// Peek has OnData called once the client has sent least bytes, with all that there are up to most. They stay where they
// are: what follows this filter gets them, too. OnData may return Peek again, to see the same bytes and more.
//
// Both are at least 1 and at most [MaxPeek]; least may be greater than most, which is then raised to it. A Peek by OnData
// that asks for no more than it was given waits for one byte more. Envoy allocates a buffer of most bytes for the
// connection. Clients that send too little are closed by the listener's listener_filters_timeout.
func Peek(least, most int) Action { return Action{kind: actPeek, least: least, most: most} }

// Drain is [Continue] without the first n bytes of those that OnData was called with: nobody behind this filter sees them.
func Drain(n int) Action { return Action{kind: actDrain, least: n} }

// Go ends the method later: the framework runs f on a goroutine of its own, and what f returns is the method's action, one
// of [Continue] and [Refuse]. Meanwhile the connection stands still.
//
// It takes Envoy 1.39 or later; 1.38 closes the connection.
//
// ctx is cancelled when the connection ends. A panic in f is one in the method. Where f does not return within
// [GoTimeout], or the listener's listener_filters_timeout if that is shorter, the connection is closed.
func Go(f func(ctx context.Context) Action) Action { return Action{kind: actGo, run: f} }

// Refuse closes the connection at once. reason is for logs: Envoy's connection termination details, which the listener's
// access log prints, are "moe.NAME: " and the reason.
func Refuse(reason string) Action { return Action{kind: actRefuse, reason: reason} }
