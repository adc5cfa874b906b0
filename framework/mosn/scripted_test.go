package mosn_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"

	"mosn.io/api"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/framework/mosn"
)

// script is what a filter of the type "scripted" does. Tests register theirs by name.
type script struct {
	phase     api.ReceiverFilterPhase
	onReceive func(c *call) api.StreamFilterStatus
	onAppend  func(c *call) api.StreamFilterStatus
	onDestroy func()
	onLog     func(ctx context.Context, req, resp api.HeaderMap, info api.RequestInfo)
}

// call is what a filter is called with.
type call struct {
	ctx      context.Context
	headers  api.HeaderMap
	body     api.IoBuffer
	trailers api.HeaderMap
	receive  api.StreamReceiverFilterHandler
	send     api.StreamSenderFilterHandler
}

// scripted is a filter that runs a script.
type scripted struct {
	script
	receive api.StreamReceiverFilterHandler
	send    api.StreamSenderFilterHandler
}

func (f *scripted) OnReceive(ctx context.Context, h api.HeaderMap, b api.IoBuffer, t api.HeaderMap) api.StreamFilterStatus {
	return f.onReceive(&call{ctx: ctx, headers: h, body: b, trailers: t, receive: f.receive, send: f.send})
}

func (f *scripted) Append(ctx context.Context, h api.HeaderMap, b api.IoBuffer, t api.HeaderMap) api.StreamFilterStatus {
	return f.onAppend(&call{ctx: ctx, headers: h, body: b, trailers: t, receive: f.receive, send: f.send})
}

func (f *scripted) SetReceiveFilterHandler(h api.StreamReceiverFilterHandler) { f.receive = h }
func (f *scripted) SetSenderFilterHandler(h api.StreamSenderFilterHandler)    { f.send = h }

func (f *scripted) OnDestroy() {
	if f.onDestroy != nil {
		f.onDestroy()
	}
}

func (f *scripted) Log(ctx context.Context, req, resp api.HeaderMap, info api.RequestInfo) {
	f.onLog(ctx, req, resp, info)
}

// CreateFilterChain makes scripts their own factories.
func (s script) CreateFilterChain(_ context.Context, callbacks api.StreamFilterChainFactoryCallbacks) {
	f := &scripted{script: s}
	if s.onReceive != nil {
		callbacks.AddStreamReceiverFilter(f, s.phase)
	}
	if s.onAppend != nil {
		callbacks.AddStreamSenderFilter(f, api.BeforeSend)
	}
	if s.onLog != nil {
		callbacks.AddStreamAccessLog(f)
	}
}

var types atomic.Int32

// register registers a creator under a name that nothing else has.
func register(creator api.StreamFilterFactoryCreator) string {
	name := fmt.Sprintf("scripted%d", types.Add(1))
	api.RegisterStream(name, creator)
	return name
}

// neverBlock has typeOf declare of each script that it does not block.
var neverBlock bool

// typeOf registers a script.
func typeOf(s script) string {
	typ := register(func(map[string]any) (api.StreamFilterChainFactory, error) { return s, nil })
	if neverBlock {
		mosn.Declare(typ, mosn.Declaration{NeverBlocks: true})
	}
	return typ
}

// config is the plugin's configuration with filters of these types, and what more there is to say in it.
func config(t testing.TB, more map[string]any, types ...string) filtertest.Config {
	t.Helper()
	list := make([]any, len(types))
	for i, typ := range types {
		list[i] = map[string]any{"type": typ}
	}
	all := map[string]any{"stream_filters": list}
	for k, v := range more {
		all[k] = v
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatalf("cannot write the configuration: %v", err)
	}
	return filtertest.Config{Name: "mosn", JSON: string(text)}
}

// host returns a host that runs scripts in the order given.
func host(t testing.TB, scripts ...script) *filtertest.Host {
	t.Helper()
	names := make([]string, len(scripts))
	for i, s := range scripts {
		names[i] = typeOf(s)
	}
	return filtertest.New(t, config(t, nil, names...))
}

// receives is a script whose filter calls f for the request and goes on.
func receives(f func(c *call)) script {
	return script{onReceive: func(c *call) api.StreamFilterStatus {
		f(c)
		return api.StreamFilterContinue
	}}
}

// appends is receives for the response.
func appends(f func(c *call)) script {
	return script{onAppend: func(c *call) api.StreamFilterStatus {
		f(c)
		return api.StreamFilterContinue
	}}
}
