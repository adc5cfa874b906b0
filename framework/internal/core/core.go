// Package core holds the state of one stream that filter, chain and the hosts share. It is internal, so that
// framework/filter shows a plugin author nothing that belongs to a host.
package core

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"
)

// Internal is an argument of functions in public packages that only the framework's own are to call.
type Internal struct{}

// Field is one header field; names are lower case.
type Field struct{ Name, Value string }

// Block is a header or trailer block.
type Block struct {
	Fields  []Field
	Present bool // the block has arrived and Fields holds it
	lent    lent // which strings in Fields are the host's

	// Owner is 1 + the plugin whose turn it is; 0: frozen. The chain stores it on the stream's thread without
	// Stream.Mu; a change of the block reads it and works with Mu held.
	Owner atomic.Int32
	// Revoked is 1 + the plugin whose turn was taken away in the midst of it; changes it still makes are not reported as
	// misuse.
	Revoked atomic.Int32

	// Changed lists, once each, the names whose fields differ from what the host handed over. A host carries a change
	// out per name: all values of the name as they are in Fields now, or none.
	Changed []string
	// Fresh has bit i set if the host handed over no field named Changed[i]: what is there now can be added without
	// a look for what it replaces.
	Fresh uint64
	// Multi is set once a name may have got several values.
	Multi bool
}

// Index returns the index of the first field called name, or -1.
func (b *Block) Index(name string) int { return b.IndexFrom(0, name) }

// IndexFrom is Index for the fields from the from-th on.
func (b *Block) IndexFrom(from int, name string) int {
	if name == "" {
		return -1
	}
	last := len(name) - 1
	for i := from; i < len(b.Fields); i++ {
		// Names of one length tend to begin alike.
		if n := b.Fields[i].Name; len(n) == len(name) && n[last] == name[last] && n == name {
			return i
		}
	}
	return -1
}

// MarkChanged notes that the fields of name are about to change; at is its Index. Stream.Mu is held.
func (b *Block) MarkChanged(name string, at int) {
	for _, c := range b.Changed {
		if c == name {
			return
		}
	}
	if at < 0 {
		b.Fresh |= 1 << len(b.Changed) // which is nothing beyond the 64th
	}
	b.Changed = append(b.Changed, name)
}

// Fill puts fields, whose strings are Go's, into b.
func (b *Block) Fill(fields []Field) {
	b.Fields, b.Present, b.lent = append(b.Fields[:0], fields...), true, lent{}
}

// ClearChanges forgets the changes: the host has carried them out.
func (b *Block) ClearChanges() {
	clear(b.Changed)
	b.Changed, b.Fresh, b.Multi = b.Changed[:0], 0, false
}

// clear empties b and keeps its memory.
func (b *Block) clear() {
	clear(b.Fields)
	b.ClearChanges()
	b.Fields, b.Present, b.lent = b.Fields[:0], false, lent{}
	if b.Owner.Load() != 0 {
		b.Owner.Store(0)
	}
	if b.Revoked.Load() != 0 {
		b.Revoked.Store(0)
	}
}

// Body is a body in flight: one chunk, or all of it.
type Body struct {
	Data     []byte
	Complete bool
	Dirty    bool
	Owner    int32 // as Block.Owner, but stored with Stream.Mu held
}

// Kinds of actions.
const (
	Continue = iota
	WaitBody
	Reply
	Go
	Pipe
	Reset
	Unauthenticated // P is the reply of its own; see filter.Unauthenticated
	Again           // the chain's own: the step that waited is tried again
)

// Action is what filter.Action carries.
type Action struct {
	Kind uint8
	P    *Payload
}

// Payload is the part of an action that needs memory. It is shared by every stream the action is returned to, so the
// chain never writes to it. A Reader can be read once, so whoever takes it sets Taken.
type Payload struct {
	Status  int
	Body    []byte
	Reader  io.Reader
	Taken   *atomic.Bool // of Reader: a reply has taken it
	Header  []Field
	GRPC    int // -1: by Envoy's mapping
	Details string
	Err     error
	Prefix  int
	Go      func(context.Context) Action
	Pipe    func(context.Context, io.Writer, io.Reader) error

	KeepLength bool // of Pipe: content-length holds for what it writes
}

// Errors; filter exports them.
var (
	ErrStreamDone  = errors.New("filter: stream is done")
	ErrUnsupported = errors.New("filter: not supported by this host")
	ErrNotFound    = errors.New("filter: not found")
)

// Val is a typed value shared by the plugins of a stream.
type Val struct{ Key, Value any }

// SharedKey is the Key of a Val, a string, that further filters of the stream with plugins see as well.
type SharedKey string

// PartNamespace is the namespace of Envoy's dynamic metadata in which a filter with some plugins of a chain tells the next
// what it has found out. It is apart from that which access logs print.
const PartNamespace = "moe.part"

// Stream is the shared state of one stream. It is pooled: the memory stays a Stream and Gen tells its lives apart,
// so a stale handle finds another Gen and does nothing. Mu guards every field; Gen is written on the stream's thread
// only, which may therefore read it without Mu.
type Stream struct {
	Mu       sync.Mutex
	Gen      uint32
	Remote   uint8 // bit i: block i exists, but only Host.Fetch has it
	Escaped  bool  // Host.Escaped was called
	H        [4]Block
	B        [2]Body
	Host     Host
	Loggers  []*slog.Logger // of the plugins
	Logs     []*slog.Logger // those that filter.Stream.Log has made of them; the latest lives' may still be there
	text     []byte         // of short strings that were copied; it is used on by the next life
	Ctx      context.Context
	Cancel   context.CancelCauseFunc
	Span     trace.Span // that an observer has made for the stream; nil: the host's, if that has one
	Vals     []Val
	Consumer any
	Misuse   func(plugin int, what, request string) // request is its id

	serial uint64 // of this memory in the process; 0: nobody has asked

	// Later, called on the stream's thread, returns a function that any goroutine may call: it runs f on the stream's
	// thread, and what f returns is plugin's reply, or its reset, as long as the request has passed plugin and no
	// response has begun; otherwise f does not run. The chain sets it once for all lives.
	Later func(plugin int) func(f func() Action)
}

// Fetch has the host hand over a block that only it has. s.Mu is held, and released while the host works; Fetch
// reports whether life gen goes on.
func (s *Stream) Fetch(gen uint32, block int) bool {
	host := s.Host
	s.Mu.Unlock()
	fields := host.Fetch(block)
	s.Mu.Lock()
	if s.Gen != gen {
		return false
	}
	if bit := uint8(1) << block; s.Remote&bit != 0 && fields != nil {
		s.Remote &^= bit
		s.H[block].Fill(fields)
	}
	return true
}

// RequestID returns the request's header x-request-id, if the headers are here. s.Mu is held.
func (s *Stream) RequestID() string {
	b := &s.H[RequestHeaders]
	if i := b.Index("x-request-id"); i >= 0 {
		return s.Value(b, i)
	}
	return ""
}

// serials are how many streams' memory has a number.
var serials atomic.Uint64

// ID returns a name of this life that no other stream of the process has. s.Mu is held.
func (s *Stream) ID() string {
	if s.serial == 0 {
		s.serial = serials.Add(1)
	}
	return strconv.FormatUint(s.serial, 10) + "." + strconv.FormatUint(uint64(s.Gen), 10)
}

// Escape tells the host, once, that goroutines other than the stream's may use the stream. s.Mu is not held.
func (s *Stream) Escape(gen uint32) {
	s.Mu.Lock()
	host, tell := s.Host, s.Gen == gen && !s.Escaped
	if tell {
		s.Escaped = true
	}
	s.Mu.Unlock()
	if tell {
		host.Escaped()
	}
}

// EndContext cancels the stream's context; Context makes a new one after it. s.Mu is held.
func (s *Stream) EndContext(cause error) {
	if s.Cancel != nil {
		s.Cancel(cause)
		s.Ctx, s.Cancel = nil, nil
	}
}

// Reset ends this life of s. s.Mu is held.
func (s *Stream) Reset() {
	s.Gen++
	for i := range s.H {
		if b := &s.H[i]; b.Present || len(b.Fields) > 0 || len(b.Changed) > 0 {
			b.clear()
		}
	}
	s.B = [2]Body{}
	if len(s.Vals) > 0 {
		clear(s.Vals)
		s.Vals = s.Vals[:0]
	}
	s.Remote, s.Escaped = 0, false
	s.Host, s.Consumer, s.Misuse, s.Loggers = nil, nil, nil, nil
	s.Span = nil
	s.EndContext(ErrStreamDone)
}

type contextKey struct{}

// streamContext is a stream's context: it leads [HostOf] back to the stream.
type streamContext struct {
	context.Context
	s   *Stream
	gen uint32
}

// Value is that of context.Context.
func (c *streamContext) Value(key any) any {
	if key == (contextKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// Context returns the stream's context, and makes it from parent when there is none. s.Mu is held.
func (s *Stream) Context(parent context.Context) context.Context {
	if s.Ctx == nil {
		ctx, cancel := context.WithCancelCause(parent)
		s.Ctx, s.Cancel = &streamContext{ctx, s, s.Gen}, cancel
	}
	return s.Ctx
}

// HostOf returns the host of the stream whose context ctx is, or descends from; nil when there is none or it is done.
func HostOf(ctx context.Context) Host {
	c, ok := ctx.Value(contextKey{}).(*streamContext)
	if !ok {
		return nil
	}
	c.s.Mu.Lock()
	defer c.s.Mu.Unlock()
	if c.s.Gen != c.gen {
		return nil
	}
	return c.s.Host
}
