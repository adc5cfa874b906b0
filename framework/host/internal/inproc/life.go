package inproc

import (
	"sync"

	"mosn.io/moe/framework/internal/core"
)

// Door is how a host reaches the thread of one object of Envoy's. Its methods are called with the Life's lock held and
// are not to use the Life.
type Door interface {
	// OnThread reports whether the caller runs on the object's thread, where Envoy may be asked about it now.
	OnThread() bool
	// OnAny reports whether the caller runs on a thread of Envoy's at all, which must not wait.
	OnAny() bool
	// Wake has the object's thread enter Go: soon if there is a way to tell it, or with the object's next event. It reports
	// whether Envoy is coming, with an event that [Life.Enter] has as woken. It is called while no crossing of the object is
	// under way.
	Wake() (coming bool)
	// Prepare does what only the object's thread can do so that Wake has Envoy come soon. It is called on that thread before
	// a crossing ends, where somebody may want to wake it.
	Prepare()
	// Gone reports whether Envoy has destroyed the object.
	Gone() bool
	// Escape has the end of the object told at once from now on, because somebody waits for it.
	Escape()
}

// Life is one use of an object's memory on Go's side, from its first event to its end. The memory is used again for later
// objects; [Handle] tells the lives apart. The zero Life is over.
type Life struct {
	mu      sync.Mutex // guards all, and every use of Envoy's side by other goroutines
	gen     uint32
	door    Door
	thread  *Thread
	depth   int    // crossings of this object on the stack
	calls   []call // for Envoy's side, waiting for its thread
	posts   []func()
	coming  bool // Envoy will call, because of Wake
	escaped bool // somebody may wait for news of the object
}

// Begin begins a life, on its thread, and returns the handle to it.
func (l *Life) Begin(door Door, t *Thread) Handle {
	l.mu.Lock()
	l.door, l.thread = door, t
	l.mu.Unlock()
	return Handle{l, l.gen}
}

// End ends a life: its handles do nothing any more, and whoever waits gets ErrStreamDone.
func (l *Life) End() {
	l.mu.Lock()
	l.gen++
	calls := l.calls
	l.calls, l.posts, l.coming, l.escaped, l.depth, l.door = nil, nil, false, false, 0, nil
	l.mu.Unlock()
	for _, c := range calls {
		c.drop()
	}
}

// Inside reports whether a crossing of the object is under way. Only the object's thread may ask.
func (l *Life) Inside() bool { return l.depth > 0 }

// Enter begins a crossing of the object and serves the calls that wait for it; woken tells that Envoy has called because of
// Wake. As one of these may panic, Leave is deferred before.
func (l *Life) Enter(woken bool) {
	l.mu.Lock()
	l.depth++
	if woken {
		l.coming = false
	}
	if len(l.calls) == 0 {
		l.mu.Unlock() // without a defer, which would cost as much as all of this
		return
	}
	defer l.mu.Unlock()
	l.serve()
}

// Leave ends a crossing, after it has served the calls that have come meanwhile. What comes later has Envoy come back.
func (l *Life) Leave() {
	l.mu.Lock()
	if l.depth == 0 { // a crossing within this one has ended the life
		l.mu.Unlock()
		return
	}
	if len(l.calls) == 0 && len(l.posts) == 0 && !l.escaped { // nobody but the object's thread has been here
		l.depth--
		l.mu.Unlock()
		return
	}
	defer l.mu.Unlock()
	defer l.leave() // even if a call panics
	if len(l.calls) > 0 {
		l.serve()
	}
}

// leave is called with mu held.
func (l *Life) leave() {
	waiting := len(l.posts) > 0 || len(l.calls) > 0
	if waiting || l.escaped {
		l.door.Prepare()
	}
	if l.depth--; l.depth == 0 && waiting {
		l.wake()
	}
}

// serve runs the calls that wait, without the lock that it is called with, and that is held again when it ends, even by a
// panic.
func (l *Life) serve() {
	for n := 0; len(l.calls) > 0 && n < maxRounds; n++ {
		calls := l.calls
		l.calls = nil
		gone := l.door.Gone()
		func() {
			l.mu.Unlock()
			defer l.mu.Lock()
			run(calls, gone)
		}()
	}
}

// maxRounds bounds how often a thread looks for new work in one crossing: then Envoy has its turn again.
const maxRounds = 64

// run serves calls. Those behind one that panics are dropped: the panic ends the stream.
func run(calls []call, gone bool) {
	next := 0
	defer func() {
		for _, c := range calls[next:] {
			c.drop()
		}
	}()
	for !gone && next < len(calls) {
		c := calls[next]
		next++
		c.run()
	}
}

// Work serves the calls and runs the posts that wait, in that order, until there are none. It is called on the object's
// thread, in a crossing in which its host lets the object go on.
func (l *Life) Work() {
	for range maxRounds {
		l.mu.Lock()
		calls, posts := l.calls, l.posts
		if len(calls) == 0 && len(posts) == 0 {
			l.mu.Unlock()
			return
		}
		l.calls, l.posts = nil, nil
		gone := l.door.Gone()
		l.mu.Unlock()
		run(calls, gone)
		for _, f := range posts {
			f()
		}
	}
}

// CallBack has Envoy call again, with an event of its own. It is called on the object's thread.
func (l *Life) CallBack() {
	l.mu.Lock()
	l.door.Prepare()
	l.wake()
	l.mu.Unlock()
}

// wake is called with mu held.
func (l *Life) wake() {
	if !l.coming {
		l.coming = l.door.Wake()
	}
}

// escape is called with mu held.
func (l *Life) escape() {
	l.escaped = true
	l.door.Escape()
}

// Handle is an object in one of its lives. It may be used by any goroutine at any time.
type Handle struct {
	life *Life
	gen  uint32
}

// Do runs f with the lock held if the life goes on, and reports that. f must not wait, nor ask Envoy.
func (h Handle) Do(f func()) bool {
	h.life.mu.Lock()
	defer h.life.mu.Unlock()
	if h.life.gen != h.gen {
		return false
	}
	f()
	return true
}

// Post has f run on the object's thread, where its host runs such functions; f does not run when the life is over.
func (h Handle) Post(f func()) {
	l := h.life
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gen != h.gen {
		return
	}
	l.posts = append(l.posts, f)
	if l.depth == 0 {
		l.wake()
	}
}

// Wake has the object's thread enter Go, unless it is in a crossing of the object.
func (h Handle) Wake() {
	h.Do(func() {
		if h.life.depth == 0 {
			h.life.wake()
		}
	})
}

// Escaped notes that goroutines may wait for news of the object, so that they hear of its end at once.
func (h Handle) Escaped() { h.Do(h.life.escape) }

// Err returns err, or ErrStreamDone where the life is over.
func (h Handle) Err(err error) error {
	if !h.Do(func() {}) {
		return core.ErrStreamDone
	}
	return err
}
