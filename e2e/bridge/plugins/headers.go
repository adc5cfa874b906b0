package main

import "github.com/envoyproxy/envoy/contrib/golang/common/go/api"

// headers changes headers of requests and responses; with ?async in the path, in goroutines.
type headers struct {
	api.PassThroughStreamFilter
	cb    api.FilterCallbackHandler
	set   string
	async bool
}

func init() {
	register("headers", func(c map[string]any, cb api.FilterCallbackHandler) api.StreamFilter {
		set, _ := c["set"].(string)
		return &headers{cb: cb, set: set}
	})
}

func (f *headers) DecodeHeaders(h api.RequestHeaderMap, end bool) api.StatusType {
	f.async = query(h).Has("async")
	return turn(f.async, f.cb.DecoderFilterCallbacks(), func() api.StatusType {
		was, _ := h.Get("x-was")
		h.Set("x-got", was)
		h.Set("x-set", f.set)
		h.Add("x-added", "1")
		h.Add("x-added", "2")
		h.Del("x-was")
		return api.Continue
	})
}

func (f *headers) EncodeHeaders(h api.ResponseHeaderMap, end bool) api.StatusType {
	return turn(f.async, f.cb.EncoderFilterCallbacks(), func() api.StatusType {
		if code, ok := h.Status(); ok && code == 200 {
			h.Set("x-response", f.set)
		}
		h.Del("x-remove")
		return api.Continue
	})
}
