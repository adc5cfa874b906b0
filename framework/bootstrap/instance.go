package bootstrap

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"mosn.io/moe/framework/internal/guard"
)

// Instance is one extension in one Envoy. It is for hosts: its methods but those of [Server] are called on Envoy's main
// thread, and none of them waits, save Page.
type Instance struct {
	host   Host
	reg    *Registration
	config any // has the methods
	server *Server
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelCauseFunc

	order   []*Page
	pages   map[string]*Page // by path
	overdue guard.Calls

	mu       sync.Mutex // guards what follows
	over     bool
	open     bool // Envoy has initialized, and can be asked
	tasks    []*task
	turns    chan func() // where the main thread waits for a page: it runs what comes
	events   []func()    // calls of methods, in order
	calling  bool        // drain runs
	ready    bool        // Envoy knows, or is about to
	endInit  func()      // ends the context of OnServerInitialized
	shutting bool
}

// task is something to be done on the main thread.
type task struct {
	run  func()
	done chan struct{} // closed when it has run; nil: nobody waits
}

// NeedsInit reports whether Envoy waits for the extension: for a call of Host.Ready after Initialized.
func (x *Instance) NeedsInit() bool {
	_, needs := x.config.(ServerInitializedHandler)
	return needs
}

// Initialized tells that Envoy is initialized.
func (x *Instance) Initialized() {
	for _, p := range x.order {
		if !x.host.AddPage(p) {
			x.log.Error("Envoy does not take the admin page " + p.Path + ": it has no admin interface, or another page of that path")
		}
	}
	if h, ok := x.config.(ServerInitializedHandler); ok {
		x.initialize(h)
	}
	x.mu.Lock()
	x.open = true
	x.mu.Unlock()
	x.Run()
}

// initialize calls OnServerInitialized, and sees to it that Envoy goes on.
func (x *Instance) initialize(h ServerInitializedHandler) {
	ctx, cancel := context.WithCancel(x.ctx)
	x.mu.Lock()
	x.endInit = cancel
	x.mu.Unlock()
	x.enqueue(func() {
		timeout := InitTimeout
		if t, ok := h.(InitTimeouter); ok {
			x.await("InitTimeout", func() { timeout = t.InitTimeout() })
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		late := time.AfterFunc(timeout, func() {
			x.initialized("OnServerInitialized has not returned within " + timeout.String() + "; Envoy goes on without it")
		})
		defer late.Stop()
		failure := ""
		if !x.await("OnServerInitialized", func() {
			if err := h.OnServerInitialized(ctx, x.server); err != nil {
				text, _ := guard.Text(err)
				failure = "OnServerInitialized: " + text + "; Envoy goes on"
			}
		}) {
			failure = "OnServerInitialized panicked; Envoy goes on"
		}
		x.initialized(failure)
	})
}

// initialized lets Envoy go on, once; failure says what has failed, if anything has.
func (x *Instance) initialized(failure string) {
	x.mu.Lock()
	first := !x.ready && !x.shutting
	x.ready = true
	x.mu.Unlock()
	if !first {
		return
	}
	if failure != "" {
		x.log.Error(failure)
		x.host.InitFailed()
	}
	x.post(x.host.Ready)
}

// Drain tells that Envoy drains.
func (x *Instance) Drain() {
	if h, ok := x.config.(DrainStartedHandler); ok {
		x.enqueue(func() { x.await("OnDrainStarted", func() { h.OnDrainStarted(x.server) }) })
	}
}

// Shutdown tells that Envoy ends. It waits for done, which is called once, on the main thread.
func (x *Instance) Shutdown(done func()) {
	h, handles := x.config.(ShutdownHandler)
	x.mu.Lock()
	again, endInit := x.shutting, x.endInit
	x.shutting = true
	x.mu.Unlock()
	if endInit != nil {
		endInit()
	}
	if !handles || again {
		done()
		return
	}
	ctx, cancel := context.WithTimeout(x.ctx, ShutdownTimeout)
	var once sync.Once
	end := func(failure string) {
		once.Do(func() {
			cancel()
			if failure != "" {
				x.log.Error(failure)
			}
			x.post(done)
		})
	}
	late := time.AfterFunc(ShutdownTimeout, func() {
		end("OnShutdown has not returned within " + ShutdownTimeout.String() + "; Envoy ends without it")
	})
	x.enqueue(func() {
		defer late.Stop()
		x.await("OnShutdown", func() { h.OnShutdown(ctx, x.server) })
		end("")
	})
}

// End ends the instance: whoever waits gets ErrDone, and the host is used no more.
func (x *Instance) End() {
	x.mu.Lock()
	x.over = true
	x.tasks, x.events = nil, nil
	x.mu.Unlock()
	x.cancel(ErrDone)
}

// Run does what waits for the main thread.
func (x *Instance) Run() {
	for {
		x.mu.Lock()
		tasks := x.tasks
		if !x.open || x.over {
			tasks = nil
		} else {
			x.tasks = nil
		}
		x.mu.Unlock()
		if len(tasks) == 0 {
			return
		}
		for _, t := range tasks {
			t.run()
			if t.done != nil {
				close(t.done)
			}
		}
	}
}

// post has the main thread run f, soon, unless Envoy ends before.
func (x *Instance) post(f func()) { x.push(&task{run: f}) }

// push reports whether the main thread will come for t, unless Envoy ends before.
func (x *Instance) push(t *task) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return false
	}
	x.tasks = append(x.tasks, t)
	switch {
	case !x.open: // Initialized runs it
	case x.turns != nil:
		select {
		case x.turns <- x.Run:
		default: // it is about to
		}
	default:
		x.host.Wake()
	}
	return true
}

// takeTurns says that the main thread waits, and runs what comes by the channel.
func (x *Instance) takeTurns() <-chan func() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.turns = make(chan func(), 1)
	return x.turns
}

// endTurns is the end of takeTurns.
func (x *Instance) endTurns() {
	x.mu.Lock()
	x.turns = nil
	x.mu.Unlock()
	x.Run()
}

// ask has the main thread run f, and waits for it.
func (x *Instance) ask(f func()) error {
	if x.host.OnThread() {
		return ErrEnvoyThread
	}
	t := &task{run: f, done: make(chan struct{})}
	if !x.push(t) {
		return ErrDone
	}
	timer := time.NewTimer(AskTimeout)
	defer timer.Stop()
	select {
	case <-t.done:
		return nil
	case <-x.ctx.Done():
		return ErrDone
	case <-timer.C:
	}
	if x.withdraw(t) {
		return ErrBusy
	}
	select { // it is being run
	case <-t.done:
		return nil
	case <-x.ctx.Done():
		return ErrDone
	}
}

// withdraw takes a task back; false: it is being run, or was.
func (x *Instance) withdraw(t *task) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i, o := range x.tasks {
		if o == t {
			x.tasks = append(x.tasks[:i:i], x.tasks[i+1:]...)
			return true
		}
	}
	return false
}

// lookup is ask for what may not be there.
func (x *Instance) lookup(f func() bool) error {
	found := false
	if err := x.ask(func() { found = f() }); err != nil {
		return err
	}
	if !found {
		return ErrNotFound
	}
	return nil
}

// enqueue has f, which calls a method, run after those before.
func (x *Instance) enqueue(f func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return
	}
	x.events = append(x.events, f)
	if !x.calling {
		x.calling = true
		go x.drain()
	}
}

// drain calls methods one after the other.
func (x *Instance) drain() {
	for {
		x.mu.Lock()
		if len(x.events) == 0 {
			x.calling = false
			x.mu.Unlock()
			return
		}
		f := x.events[0]
		x.events = x.events[1:]
		x.mu.Unlock()
		f()
	}
}

// await runs code of the extension's on a goroutine of its own, which runtime.Goexit may end, and waits for it. It reports
// whether the code came to its end.
func (x *Instance) await(what string, run func()) bool {
	ended := make(chan *guard.Fault, 1)
	go func() {
		returned := false
		defer func() { ended <- guard.Recovered(recover(), returned) }()
		run()
		returned = true
	}()
	fault := <-ended
	if fault != nil {
		x.report(what, fault)
	}
	return fault == nil
}

// report logs how code of the extension's has failed, and counts panics.
func (x *Instance) report(what string, fault *guard.Fault) {
	value, _ := guard.Text(fault.Value)
	of := fmt.Sprintf("%s of the bootstrap extension %s", what, x.reg.Name)
	if fault.Stack == nil {
		x.log.Error(of+" takes too long", "value", value)
		return
	}
	x.host.Panicked()
	x.log.Error("panic in "+of, "value", value, "stack", string(fault.Stack))
}
