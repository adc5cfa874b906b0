package inproc

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mosn.io/moe/framework/internal/core"
)

// object is an object of a fake Envoy's, whose thread is the goroutine that runs step.
type object struct {
	Life
	thread   Thread
	handle   Handle
	on       atomic.Bool // the caller is the object's thread
	other    atomic.Bool // the caller is another thread of Envoy's
	gone     atomic.Bool
	wakes    atomic.Int32
	escape   atomic.Bool
	prepared atomic.Int32
	doors    bool // there is a way to tell the thread
}

func newObject() *object {
	o := &object{doors: true}
	o.handle = o.Begin(o, &o.thread)
	return o
}

func (o *object) OnThread() bool { return o.on.Load() }
func (o *object) OnAny() bool    { return o.on.Load() || o.other.Load() }
func (o *object) Gone() bool     { return o.gone.Load() }
func (o *object) Escape()        { o.escape.Store(true) }
func (o *object) Prepare()       { o.prepared.Add(1) }

func (o *object) Wake() bool {
	o.wakes.Add(1)
	return o.doors
}

// cross runs f in a crossing.
func (o *object) cross(f func()) {
	o.thread.enter()
	defer o.thread.leave()
	defer o.Leave()
	o.Enter(true)
	f()
}

// eventually waits for what another goroutine is about to do.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("10 s have passed: %s", what)
		}
	}
}

func (o *object) waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.calls)
}

// ask has another goroutine call Ask.
func (o *object) ask(f func()) <-chan error {
	done := make(chan error, 1)
	go func() { done <- o.handle.Ask(f) }()
	return done
}

func TestAskFromElsewhereRunsOnTheThread(t *testing.T) {
	o := newObject()
	var inside, ran atomic.Bool
	done := o.ask(func() { ran.Store(inside.Load()) })
	eventually(t, "the call is queued", func() bool { return o.waiting() == 1 })
	if o.wakes.Load() != 1 || !o.escape.Load() {
		t.Errorf("the thread was woken %d times, want 1; the end comes at once: %t", o.wakes.Load(), o.escape.Load())
	}
	inside.Store(true)
	o.cross(func() {})
	inside.Store(false)
	if err := <-done; err != nil || !ran.Load() {
		t.Errorf("Ask: %v; ran on the thread: %t", err, ran.Load())
	}
}

// What is asked while the thread is in Go runs before it leaves, not beside it.
func TestAskDuringACrossingRunsAtItsEnd(t *testing.T) {
	o := newObject()
	var plugin atomic.Bool
	var done <-chan error
	o.cross(func() {
		plugin.Store(true)
		done = o.ask(func() {
			if plugin.Load() {
				t.Error("the call ran beside the phase")
			}
		})
		eventually(t, "the call is queued", func() bool { return o.waiting() == 1 })
		time.Sleep(10 * time.Millisecond)
		plugin.Store(false)
	})
	if err := <-done; err != nil {
		t.Errorf("Ask: %v", err)
	}
	if n := o.wakes.Load(); n != 0 {
		t.Errorf("the thread, which was there, was woken %d times", n)
	}
}

func TestAskOnTheThreadRunsAtOnce(t *testing.T) {
	o := newObject()
	o.cross(func() {
		o.on.Store(true)
		defer o.on.Store(false)
		ran := false
		if err := o.handle.Ask(func() { ran = true }); err != nil || !ran {
			t.Errorf("Ask: %v; ran: %t", err, ran)
		}
		ran = false
		if err := o.handle.Later(func() { ran = true }, nil); err != nil || !ran {
			t.Errorf("Later: %v; ran: %t", err, ran)
		}
	})
}

// A thread of Envoy's must not wait for another: two could wait for each other.
func TestAskOnAnotherThreadOfEnvoysDoesNotWait(t *testing.T) {
	o := newObject()
	o.other.Store(true)
	if err := o.handle.Ask(func() { t.Error("it ran") }); !errors.Is(err, ErrElsewhere) {
		t.Errorf("got %v, want %v", err, ErrElsewhere)
	}
}

// A phase that waits for a goroutine which asks Envoy would wait for itself.
func TestAskGivesUpOnAThreadThatIsHeld(t *testing.T) {
	o := newObject()
	o.cross(func() {
		if err := <-o.ask(func() { t.Error("it ran") }); !errors.Is(err, ErrHeld) {
			t.Errorf("got %v, want %v", err, ErrHeld)
		}
	})
	if n := o.waiting(); n != 0 {
		t.Errorf("%d calls are left", n)
	}
}

// A thread that is busy with many crossings, and none of them long, is waited for.
func TestAskWaitsForABusyThread(t *testing.T) {
	o := newObject()
	o.doors = false
	done := o.ask(func() {})
	eventually(t, "the call is queued", func() bool { return o.waiting() == 1 })
	for until := time.Now().Add(2 * patience); time.Now().Before(until); time.Sleep(time.Millisecond) {
		o.thread.enter() // for other objects
		o.thread.leave()
	}
	o.cross(func() {})
	if err := <-done; err != nil {
		t.Errorf("Ask: %v", err)
	}
}

func TestTheEndTellsWhoWaits(t *testing.T) {
	o := newObject()
	done := o.ask(func() { t.Error("it ran") })
	eventually(t, "the call is queued", func() bool { return o.waiting() == 1 })
	dropped := false
	if err := o.handle.Soon(func() { t.Error("it ran") }, func() { dropped = true }); err != nil {
		t.Errorf("Soon: %v", err)
	}
	o.End()
	if err := <-done; !errors.Is(err, core.ErrStreamDone) || !dropped {
		t.Errorf("Ask: %v, want %v; dropped: %t", err, core.ErrStreamDone, dropped)
	}
}

func TestStaleHandlesDoNothing(t *testing.T) {
	o := newObject()
	old := o.handle
	o.End()
	o.handle = o.Begin(o, &o.thread)
	fail := func() { t.Error("it ran in another life") }
	old.Post(fail)
	old.Escaped()
	for name, err := range map[string]error{
		"Ask": old.Ask(fail), "Later": old.Later(fail, nil), "Soon": old.Soon(fail, nil), "Err": old.Err(nil),
	} {
		t.Run(name, func(t *testing.T) {
			if !errors.Is(err, core.ErrStreamDone) {
				t.Errorf("%s: got %v, want %v", name, err, core.ErrStreamDone)
			}
		})
	}
	if old.Do(fail) || o.escape.Load() || o.wakes.Load() != 0 {
		t.Error("a stale handle has done something")
	}
	o.cross(o.Work)
}

// A destroyed object that Go does not know of yet is not asked anything.
func TestGoneObjectsAreAskedNothing(t *testing.T) {
	o := newObject()
	fail := func() { t.Error("Envoy was asked about an object that it has destroyed") }
	done := o.ask(fail)
	eventually(t, "the call is queued", func() bool { return o.waiting() == 1 })
	o.gone.Store(true)
	o.cross(func() {})
	if err := <-done; !errors.Is(err, core.ErrStreamDone) {
		t.Errorf("got %v, want %v", err, core.ErrStreamDone)
	}
	if err := o.handle.Later(fail, nil); !errors.Is(err, core.ErrStreamDone) {
		t.Errorf("got %v, want %v", err, core.ErrStreamDone)
	}
}

// What is left for the thread is done in the order in which it was left: a change before the result of who made it.
func TestWorkServesCallsBeforePosts(t *testing.T) {
	o := newObject()
	var order []string
	note := func(what string) func() { return func() { order = append(order, what) } }
	o.handle.Post(note("post"))
	o.mu.Lock()
	o.calls = append(o.calls, call{run: note("call"), drop: func() {}})
	o.mu.Unlock()
	o.handle.Post(func() { o.handle.Post(note("post of a post")) })
	o.cross(o.Work)
	if got := fmt.Sprint(order); got != "[call post post of a post]" {
		t.Errorf("got %s", got)
	}
}

// A post that comes when the thread has looked for the last time has Envoy come back.
func TestPostsAreNotForgotten(t *testing.T) {
	o := newObject()
	o.cross(func() { o.handle.Post(func() {}) })
	if n := o.wakes.Load(); n != 1 {
		t.Errorf("the thread was woken %d times, want 1", n)
	}
	o.handle.Post(func() {})
	if n := o.wakes.Load(); n != 1 {
		t.Errorf("the thread, which will come, was woken again: %d times", n)
	}
}

// What takes the object's thread to be woken is done while it is there, and only if somebody may want it.
func TestPrepareIsForThoseWhoMayWait(t *testing.T) {
	o := newObject()
	for _, step := range []struct {
		name string
		do   func()
		want int32
	}{
		{name: "nobody waits", do: func() {}, want: 0},
		{name: "a post is left", do: func() { o.handle.Post(func() {}) }, want: 1},
		{name: "the post has run", do: o.Work, want: 1},
		{name: "a goroutine may wait", do: o.handle.Escaped, want: 2},
		{name: "it still may", do: func() {}, want: 3},
	} {
		t.Run(step.name, func(t *testing.T) {
			if o.cross(step.do); o.prepared.Load() != step.want {
				t.Errorf("Prepare was called %d times by now, want %d", o.prepared.Load(), step.want)
			}
		})
	}
	o.End()
	o.handle = o.Begin(o, &o.thread)
	if o.cross(func() {}); o.prepared.Load() != 3 {
		t.Error("who may wait in one life is waited for in the next")
	}
}

// After a panic the crossing is over for other goroutines as well.
func TestAPanicLeavesTheCrossing(t *testing.T) {
	o := newObject()
	told := false
	o.thread.Cross(slog.NewTextHandler(io.Discard, nil), func() {
		o.cross(func() { panic("first") })
	}, func() { told = true; panic("again") })
	if !told {
		t.Error("the fence has not told its host")
	}
	if o.depth != 0 || o.thread.position().inside() {
		t.Errorf("the object is still in a crossing: depth %d, thread in Go: %t", o.depth, o.thread.position().inside())
	}
}

// A call that panics ends the crossing in which it is served, and nobody waits for ever.
func TestCallsThatPanic(t *testing.T) {
	for _, c := range []struct {
		name string
		// cross has the thread serve the calls that queue queues.
		cross func(o *object, queue func())
	}{
		{name: "as the crossing begins", cross: func(o *object, queue func()) { queue(); o.cross(func() {}) }},
		{name: "as the crossing ends", cross: func(o *object, queue func()) { o.cross(queue) }},
		{name: "in between", cross: func(o *object, queue func()) { o.cross(func() { queue(); o.Work() }) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := newObject()
			var first, second <-chan error
			o.thread.Cross(slog.NewTextHandler(io.Discard, nil), func() {
				c.cross(o, func() {
					first = o.ask(func() { panic("a fault of the framework's") })
					eventually(t, "the first call is queued", func() bool { return o.waiting() == 1 })
					second = o.ask(func() { t.Error("it ran in a stream that has panicked") })
					eventually(t, "the second call is queued", func() bool { return o.waiting() == 2 })
				})
			}, nil)
			if err := <-first; !errors.Is(err, core.ErrStreamDone) {
				t.Errorf("the call that panics: got %v, want %v", err, core.ErrStreamDone)
			}
			if err := <-second; !errors.Is(err, core.ErrStreamDone) {
				t.Errorf("the call behind it: got %v, want %v", err, core.ErrStreamDone)
			}
			if o.Inside() || o.thread.position().inside() {
				t.Errorf("the object is still in a crossing: %t, and the thread in Go: %t", o.Inside(), o.thread.position().inside())
			}
			if err := o.handle.Later(func() {}, nil); err != nil {
				t.Errorf("Later, after the panic: %v", err)
			}
		})
	}
}

func TestOnceForEachKey(t *testing.T) {
	var o Once[string]
	if !o.First("a") || o.First("a") || !o.First("b") {
		t.Error("First is not true for the first call of each key alone")
	}
	o.Forget("a")
	if !o.First("a") {
		t.Error("what was forgotten is remembered")
	}
}

// Many goroutines use objects while these live, end and begin again; everybody gets an answer of the life that was asked.
func TestLivesUnderRace(t *testing.T) {
	o := newObject()
	var handle atomic.Pointer[Handle]
	h := o.handle
	handle.Store(&h)
	var life, stop atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for stop.Load() == 0 {
				h := *handle.Load()
				h.Post(func() {})
				h.Later(func() {}, nil)
				h.Escaped()
				before := life.Load()
				got := int64(-1)
				err := h.Ask(func() { got = life.Load() })
				switch {
				case err == nil && got < before:
					t.Errorf("asked in life %d, answered in %d", before, got)
				case err != nil && !errors.Is(err, core.ErrStreamDone):
					t.Errorf("Ask: %v", err)
				}
			}
		})
	}
	for range 300 {
		for range 5 {
			o.cross(o.Work)
		}
		o.End()
		life.Add(1)
		h := o.Begin(o, &o.thread)
		handle.Store(&h)
	}
	stop.Store(1)
	o.End()
	wg.Wait()
}
