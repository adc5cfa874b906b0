package listener

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"mosn.io/moe/framework/internal/guard"
)

// Bounds of what a filter may ask for.
const (
	// MaxPeek is how many bytes of a client a filter can look at.
	MaxPeek = 64 << 10
	// GoTimeout is how long a function of [Go] may take.
	GoTimeout = 30 * time.Second
)

// Flow is the way of one socket through one filter. It is for hosts: its methods but those of [Socket] are called on the
// connection's thread. After a verdict other than [Wait] a host calls End, and nothing else.
type Flow struct {
	host   Host
	reg    *Registration
	config any
	filter any // has the methods; nil before the first of them
	socket *Socket
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelCauseFunc

	// What follows belongs to the connection's thread.
	least, most int         // what OnData is to be called with; 0: nothing
	seen        int         // bytes that OnData was called with
	waiting     *suspension // a function of Go under way
	verdict     Verdict
	details     string

	mu     sync.Mutex // guards what follows
	result *Action    // of the function of Go
	over   bool
}

// suspension is a function of Go under way.
type suspension struct{ timer *time.Timer }

// Peeks returns how many bytes OnData waits for, and how many it can take; 0 where nothing waits for bytes.
func (f *Flow) Peeks() (least, most int) { return f.least, f.most }

// Details says why the verdict is [Close].
func (f *Flow) Details() string { return f.details }

// Accepted is the beginning of the socket.
func (f *Flow) Accepted() Verdict {
	f.decide(f.call("OnAccept", func() Action { return f.filter.(AcceptHandler).OnAccept(f.socket) }), -1)
	return f.verdict
}

// Data is bytes that the client has sent, n in all since the beginning.
func (f *Flow) Data(n int) Verdict {
	for f.verdict == Wait && f.most > 0 && n >= f.least {
		p := f.host.Peeked(min(n, f.most))
		if len(p) < f.least {
			f.close("Envoy has lost bytes that it has peeked at")
			break
		}
		f.seen = len(p)
		f.decide(f.call("OnData", func() Action { return f.filter.(DataHandler).OnData(f.socket, p) }), len(p))
	}
	return f.verdict
}

// Settle does what was decided since the last event.
func (f *Flow) Settle() Verdict {
	f.mu.Lock()
	a := f.result
	f.result = nil
	f.mu.Unlock()
	if a == nil || f.waiting == nil || f.verdict != Wait {
		return f.verdict
	}
	f.waiting.timer.Stop()
	f.waiting = nil
	switch a.kind {
	case actContinue, actRefuse:
		f.decide(*a, -1)
	default:
		f.misuse("a function of Go returned something other than Continue and Refuse")
	}
	return f.verdict
}

// decide carries out what a method has decided, which was given n bytes; -1: none.
func (f *Flow) decide(a Action, n int) {
	f.least, f.most = 0, 0
	switch a.kind {
	case actContinue:
		f.verdict = Pass
	case actPeek:
		f.peek(a)
	case actDrain:
		if a.least < 0 || a.least > n {
			f.misuse("the filter drains bytes that it was not given")
			return
		}
		if a.least > 0 {
			f.host.Drain(a.least)
		}
		f.verdict = Pass
	case actGo:
		f.start(a.run)
	case actRefuse:
		f.close(a.reason)
	}
}

func (f *Flow) peek(a Action) {
	_, handles := f.filter.(DataHandler)
	least := max(a.least, f.seen+1)
	switch {
	case !handles:
		f.misuse("the filter returned Peek and has no OnData")
	case a.least < 1 || a.most < 1 || least > MaxPeek || a.most > MaxPeek:
		f.misuse("the filter peeks at less than one byte or more than MaxPeek")
	default:
		f.least, f.most = least, max(least, a.most)
	}
}

func (f *Flow) close(reason string) {
	f.verdict, f.details = Close, "moe."+f.reg.Name+": "+reason
}

// misuse closes a connection whose filter returned what it must not.
func (f *Flow) misuse(what string) {
	f.log.Error("misuse: " + what + "; the connection is closed")
	f.close("misuse")
}

// start runs a function of Go.
func (f *Flow) start(run func(context.Context) Action) {
	if !f.host.CanWake() {
		f.log.Error("the filter needs Go, which takes Envoy 1.39 or later; the connection is closed")
		f.close("Go takes Envoy 1.39 or later")
		return
	}
	s := &suspension{}
	f.waiting = s
	s.timer = time.AfterFunc(GoTimeout, func() { f.resume(Refuse("a function of Go takes longer than " + GoTimeout.String())) })
	called := func() Action { return f.fenced("a function of Go", func() Action { return run(f.ctx) }) }
	go guard.Finally(called, Refuse("panic"), f.resume)
}

// resume keeps the first result of the function of Go, for Settle.
func (f *Flow) resume(a Action) {
	f.mu.Lock()
	if f.over || f.result != nil {
		f.mu.Unlock()
		return
	}
	f.result = &a
	f.mu.Unlock()
	f.host.Wake()
}

// call calls a method of the filter, and makes the filter of this connection first.
func (f *Flow) call(method string, run func() Action) Action {
	return f.fenced(method, func() Action {
		switch {
		case f.filter != nil:
		case f.reg.PerSocket == nil:
			f.filter = f.config
		default:
			f.filter = f.reg.PerSocket(f.config, f.socket)
		}
		return run()
	})
}

// fenced runs code of the filter's. A panic in it closes the connection.
func (f *Flow) fenced(what string, run func() Action) Action {
	return guard.Call(run, func(fault *guard.Fault) Action {
		text, _ := guard.Text(fault.Value)
		f.log.Error("panic in "+what+" of the listener filter "+f.reg.Name, "value", text, "stack", string(fault.Stack))
		f.host.Panicked()
		return Refuse("panic")
	})
}

// Closed is the end of the connection before a verdict.
func (f *Flow) Closed() {
	f.End()
	if _, ok := f.filter.(CloseHandler); ok {
		f.call("OnClose", func() Action {
			f.filter.(CloseHandler).OnClose(f.socket)
			return Continue
		})
	}
}

// End ends the flow: nothing is called any more, and whoever waits gets ErrDone.
func (f *Flow) End() {
	f.mu.Lock()
	f.over = true
	f.mu.Unlock()
	f.least, f.most = 0, 0
	if f.waiting != nil {
		f.waiting.timer.Stop()
		f.waiting = nil
	}
	f.cancel(ErrDone)
}

func (f *Flow) ended() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.over
}
