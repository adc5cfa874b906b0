package probes

import (
	"maps"
	"net/url"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"mosn.io/moe/framework/filter"
)

// Live counts what the process has alive; at the end each count must be back where it began.
var Live struct {
	Provisioned, Closed      atomic.Int64 // instances
	Started, Completed       atomic.Int64 // streams of probestream
	Twice                    atomic.Int64 // completions that were not the first
	Goroutines, Waiting      atomic.Int64 // inside Go, Pipe and Env.Go
	Cancelled, Readers, Read atomic.Int64
}

// Background holds the results of the background command, by plugin id.
var Background sync.Map

var gates sync.Map // name → chan struct{}

func gate(name string) chan struct{} {
	c, _ := gates.LoadOrStore(name, make(chan struct{}))
	return c.(chan struct{})
}

// Control answers the test: /live with all counts as JSON, /open?gate=NAME, /gc.
type Control struct {
	// Answer exists so that the configuration has a field.
	Answer string `json:"answer"`
}

// OnRequestHeaders answers.
func (c *Control) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	u := h.URL()
	q, _ := url.ParseQuery(u.RawQuery)
	switch u.Path {
	case "/live":
		return filter.ReplyJSON(200, Counts())
	case "/open":
		close(gate(q.Get("gate")))
		return filter.Reply(200, "open")
	case "/gc":
		return filter.ReplyJSON(200, heap())
	}
	return filter.Reply(404, "control: "+u.Path)
}

// Counts returns Live and Background as one object.
func Counts() map[string]any {
	m := map[string]any{}
	for name, v := range map[string]*atomic.Int64{
		"provisioned": &Live.Provisioned, "closed": &Live.Closed, "started": &Live.Started,
		"completed": &Live.Completed, "twice": &Live.Twice, "goroutines": &Live.Goroutines,
		"waiting": &Live.Waiting, "cancelled": &Live.Cancelled, "readers": &Live.Readers, "read": &Live.Read,
	} {
		m[name] = v.Load()
	}
	background := map[string]any{}
	Background.Range(func(k, v any) bool { background[k.(string)] = v; return true })
	maps.Copy(m, map[string]any{"background": background, "goroutines_all": runtime.NumGoroutine()})
	return m
}

func heap() map[string]any {
	debug.FreeOSMemory()
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	return map[string]any{"heap": ms.HeapAlloc, "sys": ms.Sys, "objects": ms.HeapObjects}
}
