package main

import (
	"fmt"

	"github.com/envoyproxy/envoy/contrib/golang/common/go/api"
)

func init() {
	register("adddata", func(_ settings, cb api.FilterCallbackHandler) api.StreamFilter {
		return &adddata{stream: stream{cb: cb}}
	})
}

// adddata adds to bodies outside of the data phases, where the query says so.
type adddata struct{ stream }

func (f *adddata) add(p api.FilterProcessCallbacks, phase string) {
	if v := f.query.Get(phase); v != "" {
		p.AddData([]byte(v), f.query.Get("streaming") != "")
	}
}

func (f *adddata) hold(end bool) api.StatusType {
	if !end && f.query.Get("bufferAllData") != "" {
		return api.StopAndBuffer
	}
	return api.Continue
}

func (f *adddata) DecodeHeaders(h api.RequestHeaderMap, end bool) api.StatusType {
	f.read(h)
	return f.run(f.decoder(), func() api.StatusType {
		if f.query.Get("decodeHeaders") != "" {
			h.SetMethod("POST")
			h.Del("content-length")
		}
		f.add(f.decoder(), "decodeHeaders")
		return f.hold(end)
	})
}

func (f *adddata) DecodeData(b api.BufferInstance, _ bool) (status api.StatusType) {
	if f.query.Get("decodeData") == "" {
		return api.Continue
	}
	defer func() {
		if p := recover(); p != nil {
			b.SetString("not allowed: " + fmt.Sprint(p))
			status = api.Continue
		}
	}()
	f.add(f.decoder(), "decodeData")
	return api.Continue
}

func (f *adddata) DecodeTrailers(api.RequestTrailerMap) api.StatusType {
	return f.run(f.decoder(), func() api.StatusType { f.add(f.decoder(), "decodeTrailers"); return api.Continue })
}

func (f *adddata) EncodeHeaders(h api.ResponseHeaderMap, end bool) api.StatusType {
	return f.run(f.encoder(), func() api.StatusType {
		if f.query.Get("encodeHeaders") != "" {
			h.Del("content-length")
		}
		f.add(f.encoder(), "encodeHeaders")
		return f.hold(end)
	})
}

func (f *adddata) EncodeTrailers(api.ResponseTrailerMap) api.StatusType {
	return f.run(f.encoder(), func() api.StatusType { f.add(f.encoder(), "encodeTrailers"); return api.Continue })
}
