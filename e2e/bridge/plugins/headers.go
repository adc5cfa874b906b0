package main

import "github.com/envoyproxy/envoy/contrib/golang/common/go/api"

func init() {
	register("headers", func(s settings, cb api.FilterCallbackHandler) api.StreamFilter {
		return &headers{stream{cb: cb, settings: s}}
	})
}

// headers changes headers of requests and responses.
type headers struct{ stream }

func (f *headers) DecodeHeaders(h api.RequestHeaderMap, _ bool) api.StatusType {
	f.read(h)
	return f.run(f.decoder(), func() api.StatusType {
		was, _ := h.Get("x-was")
		h.Set("x-got", was)
		h.Set("x-set", f.settings["set"])
		h.Add("x-added", "1")
		h.Add("x-added", "2")
		h.Del("x-was")
		return api.Continue
	})
}

func (f *headers) EncodeHeaders(h api.ResponseHeaderMap, _ bool) api.StatusType {
	return f.run(f.encoder(), func() api.StatusType {
		if code, ok := h.Status(); ok && code == 200 {
			h.Set("x-response", f.settings["set"])
		}
		h.Del("x-remove")
		return api.Continue
	})
}
