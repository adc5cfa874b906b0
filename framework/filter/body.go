package filter

import "mosn.io/moe/framework/internal/core"

// Body is a chunk of a body, or the whole of it. Like [Headers] it is a handle; it is empty once its phase is over.
type Body struct {
	c      *core.Stream
	gen    uint32
	dir    core.Direction
	plugin uint16
}

func (b Body) lock() *core.Body {
	if b.c == nil {
		return nil
	}
	b.c.Mu.Lock()
	if b.c.Gen != b.gen || b.c.B[b.dir].Owner != int32(b.plugin)+1 {
		b.c.Mu.Unlock()
		return nil
	}
	return &b.c.B[b.dir]
}

// Len returns the number of bytes.
func (b Body) Len() int {
	p := b.lock()
	if p == nil {
		return 0
	}
	defer b.c.Mu.Unlock()
	return len(p.Data)
}

// Bytes returns the bytes in Go memory: keep them, do not change them.
func (b Body) Bytes() []byte {
	p := b.lock()
	if p == nil {
		return nil
	}
	defer b.c.Mu.Unlock()
	return p.Data[:len(p.Data):len(p.Data)]
}

// Complete reports whether this is the whole body: always, except in OnRequest and OnResponse after [WaitPrefix].
func (b Body) Complete() bool {
	p := b.lock()
	if p == nil {
		return false
	}
	defer b.c.Mu.Unlock()
	return p.Complete
}

// Set replaces the bytes by p, which is the framework's from then on. While the headers are held, as in OnRequest and
// OnResponse, content-length follows the new length.
//
// In OnRequestBody and OnResponseBody the headers have gone: a plugin that changes the length of chunks is registered
// with [ChangesBody], or deletes content-length in its header phase. If neither was done, the stream is reset before
// a body leaves that is not as long as its content-length says, because that would let a client smuggle a request.
//
// Calling Set or Write when the phase is over is a bug, as with [Headers].
func (b Body) Set(p []byte) {
	if q := b.change(); q != nil {
		q.Data, q.Dirty = p, true
		b.c.Mu.Unlock()
	}
}

// Write appends p, as [Body.Set] would. It makes Body an io.Writer, whose error is [ErrStreamDone] when the stream has
// ended or the phase is over.
func (b Body) Write(p []byte) (int, error) {
	q := b.change()
	if q == nil {
		return 0, ErrStreamDone
	}
	defer b.c.Mu.Unlock()
	q.Data, q.Dirty = append(q.Data[:len(q.Data):len(q.Data)], p...), true
	return len(p), nil
}

// change is lock that reports a change that comes too late.
func (b Body) change() *core.Body {
	if q := b.lock(); q != nil || b.c == nil {
		return q
	}
	b.c.Mu.Lock()
	misuse, request, live := b.c.Misuse, b.c.RequestID(), b.c.Gen == b.gen
	revoked := b.c.H[b.dir.Headers()].Revoked.Load() == int32(b.plugin)+1
	b.c.Mu.Unlock()
	if live && !revoked && misuse != nil {
		misuse(int(b.plugin), "changes a body after its phase", request)
	}
	return nil
}
