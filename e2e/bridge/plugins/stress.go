package main

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/envoyproxy/envoy/contrib/golang/common/go/api"
	"github.com/envoyproxy/envoy/contrib/golang/filters/http/source/go/pkg/http"
	"google.golang.org/protobuf/types/known/anypb"
)

// How many objects are alive in Go.
var liveFilters, liveConfigs atomic.Int64

// counted is a configuration that counts itself.
type counted struct{ settings }

func (*counted) Destroy() { liveConfigs.Add(-1) }

type countedParser struct{}

func (countedParser) Parse(a *anypb.Any, _ api.ConfigCallbackHandler) (any, error) {
	s, err := parse(a)
	if err != nil {
		return nil, err
	}
	liveConfigs.Add(1)
	return &counted{s}, nil
}

func (countedParser) Merge(parent, child any) any {
	liveConfigs.Add(1)
	return &counted{parser{}.Merge(parent.(*counted).settings, child.(*counted).settings).(settings)}
}

func init() {
	http.RegisterHttpFilterFactoryAndConfigParser("stress", func(c any, cb api.FilterCallbackHandler) api.StreamFilter {
		liveFilters.Add(1)
		return &stress{stream: stream{cb: cb, settings: c.(*counted).settings}}
	}, countedParser{})
}

// stress misbehaves as the query's op says.
type stress struct {
	stream
	op     string
	header api.RequestHeaderMap
}

func (f *stress) DecodeHeaders(h api.RequestHeaderMap, end bool) api.StatusType {
	f.read(h)
	f.op, f.header = f.query.Get("op"), h
	d := f.decoder()
	switch f.op {
	case "counts":
		return f.counts()
	case "async":
		return f.later(d, func() { h.Set("x-async", "1"); d.Continue(api.Continue) })
	case "reply":
		return f.later(d, func() { d.SendLocalReply(403, "no", nil, -1, "stress") })
	case "panic":
		panic("as asked")
	case "panic_async":
		return f.later(d, func() { panic("as asked") })
	case "twice":
		return f.later(d, func() { d.Continue(api.Continue); d.Continue(api.Continue) })
	case "late":
		return f.later(d, func() { d.Continue(api.Continue); d.SendLocalReply(403, "late", nil, -1, "late") })
	case "cluster": // asked for elsewhere while this phase stands still, when a route would have to be looked for
		f.cb.ClearRouteCache()
		done := make(chan struct{})
		go func() {
			defer close(done)
			if name, _ := f.cb.StreamInfo().UpstreamClusterName(); name == "" {
				h.Set("x-op", "no cluster")
			}
		}()
		<-done
		if _, bad := h.Get("x-op"); bad {
			f.decoder().SendLocalReply(500, "no cluster", nil, -1, "stress")
			return api.LocalReply
		}
	case "hammer": // until the request is gone
		return f.later(d, func() {
			for range 2000 {
				h.Set("x-hammer", h.GetRaw("x-hammer")+"x")
				f.cb.StreamInfo().DynamicMetadata().Set("stress", "k", "v")
				h.Set("x-hammer", "")
			}
			d.Continue(api.Continue)
		})
	case "buffer":
		if !end {
			return api.StopAndBuffer
		}
	}
	return api.Continue
}

// later runs f on a goroutine, whose panics do no harm.
func (f *stress) later(p api.FilterProcessCallbacks, do func()) api.StatusType {
	go func() {
		defer func() {
			if v := recover(); v == "as asked" {
				defer p.RecoverPanic()
				panic(v)
			}
		}()
		do()
	}()
	return api.Running
}

func (f *stress) counts() api.StatusType {
	runtime.GC()
	runtime.GC()
	text := fmt.Sprintf("filters %d\nparsed %d\nset %s\n", liveFilters.Load(), liveConfigs.Load(), f.settings["set"])
	for _, name := range []string{"requests", "configs", "routes", "config_handles"} {
		v, err := f.cb.GetProperty("golang_bridge." + name)
		text += fmt.Sprintln(name, v)
		if err != nil {
			text += err.Error()
		}
	}
	f.decoder().SendLocalReply(200, text, nil, -1, "counts")
	return api.LocalReply
}

func (f *stress) DecodeData(b api.BufferInstance, end bool) api.StatusType {
	d := f.decoder()
	switch f.op {
	case "slow":
		return f.later(d, func() { time.Sleep(time.Millisecond); b.AppendString("."); d.Continue(api.Continue) })
	case "reply_data":
		return f.later(d, func() { d.SendLocalReply(403, "no", nil, -1, "stress") })
	case "panic_data":
		panic("as asked")
	}
	return api.Continue
}

func (f *stress) EncodeHeaders(h api.ResponseHeaderMap, end bool) api.StatusType {
	e := f.encoder()
	switch f.op {
	case "encode_async", "slow":
		return f.later(e, func() { h.Set("x-encode", "1"); e.Continue(api.Continue) })
	case "encode_reply":
		return f.later(e, func() { e.SendLocalReply(403, "no", nil, -1, "stress") })
	}
	return api.Continue
}

func (f *stress) EncodeData(b api.BufferInstance, end bool) api.StatusType {
	if f.op == "slow" {
		return f.later(f.encoder(), func() { time.Sleep(time.Millisecond); f.encoder().Continue(api.Continue) })
	}
	return api.Continue
}

func (f *stress) OnDestroy(api.DestroyReason) {
	liveFilters.Add(-1)
	if f.op == "after" {
		go func() {
			for range 3 {
				func() {
					defer func() { _ = recover() }()
					f.header.Set("x", "y")
				}()
				func() {
					defer func() { _ = recover() }()
					f.decoder().SendLocalReply(403, "after", nil, -1, "after")
				}()
				func() {
					defer func() { _ = recover() }()
					_, _ = f.cb.GetProperty("request.path")
				}()
				time.Sleep(time.Millisecond)
			}
		}()
	}
}
