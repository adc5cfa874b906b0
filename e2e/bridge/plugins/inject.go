package main

import (
	"fmt"

	"github.com/envoyproxy/envoy/contrib/golang/common/go/api"
)

func init() {
	register("inject", func(_ settings, cb api.FilterCallbackHandler) api.StreamFilter {
		return &inject{stream: stream{cb: cb}}
	})
}

// inject puts data of its own between what passes.
type inject struct {
	stream
	chunks [2]int
}

func (f *inject) DecodeHeaders(h api.RequestHeaderMap, _ bool) api.StatusType {
	f.read(h)
	if f.query.Has("in_headers") {
		return f.refused(f.decoder())
	}
	if f.query.Has("buffered_decode") {
		return api.StopAndBuffer
	}
	return api.Continue
}

// refused injects where that is not allowed, and replies with what the SDK says.
func (f *inject) refused(p api.FilterProcessCallbacks) (status api.StatusType) {
	defer func() {
		if v := recover(); v != nil {
			p.SendLocalReply(400, fmt.Sprint(v), nil, -1, "refused")
			status = api.LocalReply
		}
	}()
	p.InjectData([]byte("never"))
	return api.Continue
}

func (f *inject) DecodeData(b api.BufferInstance, end bool) api.StatusType {
	if f.query.Has("in_data_synchronously") {
		return f.refused(f.decoder())
	}
	return f.data(0, "decode", b, f.decoder())
}

func (f *inject) EncodeHeaders(api.ResponseHeaderMap, bool) api.StatusType {
	if f.query.Has("buffered_encode") {
		return api.StopAndBuffer
	}
	return api.Continue
}

func (f *inject) EncodeData(b api.BufferInstance, _ bool) api.StatusType {
	return f.data(1, "encode", b, f.encoder())
}

func (f *inject) data(dir int, way string, b api.BufferInstance, p api.FilterProcessCallbacks) api.StatusType {
	if b.Len() == 0 {
		return api.Continue // the end of a chunked body
	}
	first := f.chunks[dir] == 0
	f.chunks[dir]++
	var before, after string
	switch {
	case f.query.Has("buffered_" + way):
		before, after = "or not to be, ", "that is the question"
	case f.query.Has("streamed_"+way) && first:
		before, after = "or not ", "to be, "
	case f.query.Has("streamed_" + way):
		before, after = "the ", "question"
	default:
		return api.Continue
	}
	go func() {
		defer p.RecoverPanic()
		p.InjectData(append([]byte(nil), b.Bytes()...))
		p.InjectData([]byte(before))
		b.SetString(after)
		p.Continue(api.Continue)
	}()
	return api.Running
}
