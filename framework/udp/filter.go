package udp

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"mosn.io/moe/framework/internal/guard"
)

// Filter is one configuration of a filter, with its methods. It is for hosts. Any thread may call it.
type Filter struct {
	handler  DatagramHandler
	name     string
	log      *slog.Logger
	panicked func()
	faults   pace
	misuses  pace
}

// Arrived has the filter decide about a datagram. It keeps the arrival's bytes for as long as the filter does.
func (f *Filter) Arrived(a Arrival) Outcome {
	d := &Datagram{arrival: a, log: f.log}
	action := guard.Call(
		func() Action { return f.handler.OnDatagram(d, a.Data) },
		func(fault *guard.Fault) Action {
			d.end()
			f.report(fault)
			return failed
		})
	o := Outcome{Verdict: Pass, Sends: d.end()}
	switch action.kind {
	case actFailed:
		return Outcome{Verdict: Stop}
	case actDrop:
		o.Verdict = Stop
	case actReplace, actReply:
		if !fits(action.data) {
			f.misuse(len(action.data))
			return Outcome{Verdict: Stop}
		}
		if action.kind == actReplace {
			o.Verdict, o.Data = Changed, action.data
			break
		}
		o.Verdict = Stop
		o.Sends = append(o.Sends, Sent{Data: action.data})
	}
	return o
}

// misuse logs that the filter makes a datagram of n bytes.
func (f *Filter) misuse(n int) {
	if more, ok := f.misuses.take(time.Now()); ok {
		f.log.Error(fmt.Sprintf("misuse: the filter makes a datagram of %d bytes, where 1 to %d can be sent; it is dropped", n, MaxSize),
			"more", more)
	}
}

// actFailed is the kind of the action that a method which panics has.
const actFailed kind = 255

var failed = Action{kind: actFailed}

// report logs and counts a panic.
func (f *Filter) report(fault *guard.Fault) {
	f.panicked()
	more, ok := f.faults.take(time.Now())
	if !ok {
		return
	}
	text, _ := guard.Text(fault.Value)
	f.log.Error("panic in OnDatagram of the UDP filter "+f.name, "value", text, "stack", string(fault.Stack), "more", more)
}

// logEvery is how often the same thing is logged: clients can have a filter panic as fast as they send.
const logEvery = time.Second

// pace lets one report pass in logEvery, and counts the others.
type pace struct {
	mu   sync.Mutex
	last time.Time
	more int // since last, and not reported
}

// take returns whether to report, and how many have not been since the last time.
func (p *pace) take(now time.Time) (more int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.last.IsZero() && now.Sub(p.last) < logEvery {
		p.more++
		return 0, false
	}
	more, p.last, p.more = p.more, now, 0
	return more, true
}
