package udp

// MaxSize is how many bytes a datagram that a filter makes may have: what IPv4 can carry.
const MaxSize = 65507

// Action is what OnDatagram decides. It is an immutable value, which may be kept and returned many times. The zero Action is
// [Continue].
type Action struct {
	kind kind
	data []byte
}

type kind uint8

const (
	actContinue kind = iota
	actDrop
	actReplace
	actReply
)

// Continue has the datagram go on as it is, to the next filter.
var Continue = Action{}

// Drop ends the datagram's way: no filter behind this one sees it.
var Drop = Action{kind: actDrop}

// Replace has the datagram go on with p in place of its bytes. p, which must stay as it is until the method has returned, has
// 1 to [MaxSize] bytes: Envoy sends no datagram without. Any other length is misuse, which is logged and drops the datagram.
func Replace(p []byte) Action { return Action{kind: actReplace, data: p} }

// Reply is [Drop], and sends p to where the datagram has come from, from the address that it was sent to. p, which must stay
// as it is until the method has returned, has 1 to [MaxSize] bytes, as for [Replace]. Nobody hears of it if it gets lost, as
// with any datagram.
func Reply(p []byte) Action { return Action{kind: actReply, data: p} }
