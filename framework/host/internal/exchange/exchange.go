// Package exchange has what the hosts share that is about HTTP: what of one request and its response has gone into a chain,
// what has left it, and what Envoy does not know of that yet.
package exchange

import (
	"unsafe"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/internal/core"
)

// Exchange is one request and its response, as a host sees them pass through a chain. It has the part of core.Sink that
// takes what leaves the chain; what to do about it is the host's. The zero Exchange has no chain. All belongs to the
// stream's thread.
type Exchange struct {
	Chain *chain.Stream
	Dirs  [2]Direction
	Reply Reply

	teller Teller
}

// Teller hands Envoy the changes that plugins have made in a block of headers or trailers, which has left the chain.
type Teller interface{ TellChanges(block int) }

// Direction is what has become of one direction.
type Direction struct {
	Met         bool   // the chain has seen the headers, or they have been skipped
	HeadersOut  bool   // the chain has passed the headers on
	EndOut      bool   // the chain has ended the direction
	TrailersOut bool   // with trailers
	Out         []byte // what the chain has passed on and Envoy has not got

	chunk     []byte // what Envoy has received, as the chain was given it
	untouched bool   // the chain has passed chunk on as it came, and nothing before it
}

// Start begins the exchange with a chain.
func (x *Exchange) Start(c *chain.Chain, host core.Host, sink core.Sink, t Teller) {
	x.Chain, x.teller = c.Start(host, sink), t
}

// Headers takes headers that leave the chain.
func (x *Exchange) Headers(dir core.Direction, end bool) {
	if x.Replies(dir) {
		x.Reply.begin(end)
		return
	}
	d := &x.Dirs[dir]
	d.HeadersOut, d.EndOut = true, end
	x.teller.TellChanges(dir.Headers())
}

// Data takes bytes that leave the chain.
func (x *Exchange) Data(dir core.Direction, p []byte, end bool) {
	if x.Replies(dir) {
		x.Reply.add(p, end)
		return
	}
	d := &x.Dirs[dir]
	d.EndOut = end
	if d.chunk != nil && !d.untouched && len(d.Out) == 0 && same(p, d.chunk) {
		d.untouched = true
		return
	}
	d.Unshare()
	d.Out = append(d.Out, p...)
}

// Trailers takes trailers that leave the chain.
func (x *Exchange) Trailers(dir core.Direction) {
	if x.Replies(dir) {
		x.Reply.End = true
		return
	}
	d := &x.Dirs[dir]
	d.EndOut, d.TrailersOut = true, true
	x.teller.TellChanges(dir.Trailers())
}

// Replies reports whether what leaves the chain in dir is a response of the chain's own.
func (x *Exchange) Replies(dir core.Direction) bool { return dir == core.Response && x.Chain.Replied }

func same(p, q []byte) bool {
	return len(p) == len(q) && (len(p) == 0 || unsafe.SliceData(p) == unsafe.SliceData(q))
}

// Feed remembers a chunk that the chain is given: if it comes back as it is, Envoy has it already. Forget must follow.
func (d *Direction) Feed(p []byte) { d.chunk, d.untouched = p, false }

// Forget ends what Feed began.
func (d *Direction) Forget() { d.chunk, d.untouched = nil, false }

// Untouched reports whether the chunk that the chain was fed is all that has left it since.
func (d *Direction) Untouched() bool { return d.untouched }

// Unshare makes an untouched chunk part of Out, because something else goes with it or Envoy has it no more.
func (d *Direction) Unshare() {
	if d.untouched {
		d.Out = append(d.Out, d.chunk...)
		d.Forget()
	}
}

// Load fills a block of headers or trailers that has come; fill appends its fields.
func (x *Exchange) Load(block int, fill func(to []core.Field) []core.Field) {
	x.Chain.Mu.Lock()
	b := &x.Chain.H[block]
	b.Drop()
	b.Fields, b.Present = fill(b.Fields), true
	x.Chain.Mu.Unlock()
}

// Lend fills a block that has come with fields whose strings are a host's memory, core.MaxLent at most. Where that memory
// lasts no longer than the call into the chain, Return follows.
func (x *Exchange) Lend(block int, fields []core.Field) {
	x.Chain.Mu.Lock()
	x.Chain.H[block].Lend(fields)
	x.Chain.Mu.Unlock()
}

// Return takes the host's memory back from a block. The block is kept, as a copy, where needed says so or a goroutine may
// look at it; otherwise who still asks gets it from Envoy.
func (x *Exchange) Return(block int, needed bool) {
	x.Chain.Mu.Lock()
	switch b := &x.Chain.H[block]; {
	case !b.IsLent(): // a reply has taken its place, or somebody has asked for all of it
	case needed || x.Chain.Stream.Escaped || len(b.Changed) > 0:
		b.Own()
	default:
		b.Drop()
		x.Chain.Stream.Remote |= 1 << block
	}
	x.Chain.Mu.Unlock()
}

// Remote notes that a block has passed by, so that a plugin that asks for it later gets it from Envoy.
func (x *Exchange) Remote(block int) {
	x.Chain.Mu.Lock()
	if !x.Chain.H[block].Present {
		x.Chain.Stream.Remote |= 1 << block
	}
	x.Chain.Mu.Unlock()
}

// Skip tells the chain that the headers of dir went by without it, because no plugin wanted them.
func (x *Exchange) Skip(dir core.Direction) {
	x.Dirs[dir].Met, x.Dirs[dir].HeadersOut = true, true
	x.Remote(dir.Headers())
	x.Chain.Skip(dir)
}

// Complete ends the chain's part. Plugins see in OnComplete what Envoy has of all blocks.
func (x *Exchange) Complete() {
	for block := range x.Chain.H {
		x.Remote(block)
	}
	x.Chain.Done()
}
