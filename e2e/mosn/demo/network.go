package demo

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"mosn.io/api"
	"mosn.io/pkg/buffer"
)

func init() { api.RegisterNetwork("demo_tcp", newTCP) }

// newTCP makes the factory of a network filter that does what its configuration's "do" says.
func newTCP(conf map[string]any) (api.NetworkFilterChainFactory, error) {
	name, _ := conf["do"].(string)
	do, known := deeds[name]
	if !known {
		return nil, fmt.Errorf("do: %q is nothing that demo_tcp does", name)
	}
	return tcpFactory(do), nil
}

type tcpFactory deed

func (f tcpFactory) CreateFilterChain(_ context.Context, callbacks api.NetWorkFilterChainFactoryCallbacks) {
	t := &tcp{deed: deed(f)}
	callbacks.AddReadFilter(t)
	if f.write != nil {
		callbacks.AddWriteFilter(t)
	}
}

// deed is what a filter does, where that is not to continue.
type deed struct {
	begin func(t *tcp) api.FilterStatus
	read  func(t *tcp, b api.IoBuffer) api.FilterStatus
	write func(b []api.IoBuffer) api.FilterStatus
}

// tcp is the filter of one connection.
type tcp struct {
	deed
	cb    api.ReadFilterCallbacks
	seen  int
	waits atomic.Bool
}

func (t *tcp) InitializeReadFilterCallbacks(cb api.ReadFilterCallbacks) { t.cb = cb }

func (t *tcp) OnNewConnection() api.FilterStatus {
	if t.begin == nil {
		return api.Continue
	}
	return t.begin(t)
}

func (t *tcp) OnData(b api.IoBuffer) api.FilterStatus {
	if t.read == nil {
		return api.Continue
	}
	return t.read(t, b)
}

func (t *tcp) OnWrite(b []api.IoBuffer) api.FilterStatus { return t.write(b) }

func (t *tcp) say(text string) { _ = t.cb.Connection().Write(buffer.NewIoBufferString(text)) }

// deeds are by the name that a configuration has for them.
var deeds = map[string]deed{
	"greet": {begin: func(t *tcp) api.FilterStatus { t.say("hello\n"); return api.Continue }},
	"deny": {begin: func(t *tcp) api.FilterStatus {
		t.say("no\n")
		_ = t.cb.Connection().Close(api.FlushWrite, api.LocalClose)
		return api.Stop
	}},
	"upper": {read: func(_ *tcp, b api.IoBuffer) api.FilterStatus {
		upper := bytes.ToUpper(b.Bytes())
		b.Drain(b.Len())
		_, _ = b.Write(upper)
		return api.Continue
	}},
	"lines": {read: func(_ *tcp, b api.IoBuffer) api.FilterStatus {
		if !bytes.HasSuffix(b.Bytes(), []byte("\n")) {
			return api.Stop
		}
		return api.Continue
	}},
	"wait for a head": {read: func(t *tcp, b api.IoBuffer) api.FilterStatus {
		if t.seen == 0 && !bytes.Contains(b.Bytes(), []byte("\r\n\r\n")) {
			return api.Stop
		}
		t.seen++
		return api.Continue
	}},
	"drop the first byte": {read: func(t *tcp, b api.IoBuffer) api.FilterStatus {
		if t.seen == 0 {
			b.Drain(1)
		}
		t.seen++
		return api.Continue
	}},
	"later": {read: func(t *tcp, _ api.IoBuffer) api.FilterStatus {
		if t.waits.CompareAndSwap(false, true) {
			time.AfterFunc(50*time.Millisecond, func() {
				t.waits.Store(false)
				t.cb.ContinueReading()
			})
		}
		return api.Stop
	}},
	"answer": {read: func(t *tcp, b api.IoBuffer) api.FilterStatus {
		t.say("answered " + string(b.Bytes()[:1]))
		b.Drain(b.Len())
		_ = t.cb.Connection().Close(api.NoFlush, api.LocalClose)
		return api.Stop
	}},
	"mark": {write: func(all []api.IoBuffer) api.FilterStatus {
		for _, b := range all {
			marked := bytes.ToUpper(b.Bytes())
			b.Drain(b.Len())
			_, _ = b.Write(marked)
		}
		return api.Continue
	}},
	"mute": {write: func(all []api.IoBuffer) api.FilterStatus {
		for _, b := range all {
			if b.EOF() { // MOSN closes by writing it
				return api.Continue
			}
		}
		return api.Stop
	}},
}
