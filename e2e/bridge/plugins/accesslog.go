package main

import (
	"fmt"
	"sync"

	"github.com/envoyproxy/envoy/contrib/golang/common/go/api"
)

func init() {
	register("access_log", func(s settings, cb api.FilterCallbackHandler) api.StreamFilter {
		return &accesslog{stream: stream{cb: cb, settings: s}}
	})
}

// logged is what the log phases of earlier streams have seen, by the value of key in the configuration.
var logged = struct {
	sync.Mutex
	by map[string]map[string]string
}{by: map[string]map[string]string{}}

func (f *accesslog) log(name, value string) {
	logged.Lock()
	defer logged.Unlock()
	m := logged.by[f.settings["key"]]
	if m == nil {
		m = map[string]string{}
		logged.by[f.settings["key"]] = m
	}
	m[name] = value
}

// accesslog notes what the log phases see, and tells the upstream of a later request.
type accesslog struct{ stream }

func (f *accesslog) DecodeHeaders(h api.RequestHeaderMap, _ bool) api.StatusType {
	f.read(h)
	logged.Lock()
	for k, v := range logged.by[f.settings["key"]] {
		h.Set(k, v)
	}
	logged.Unlock()
	return f.run(f.decoder(), func() api.StatusType { f.nap("sleep"); return api.Continue })
}

func get(h api.HeaderMap, name string) string {
	if h == nil {
		return ""
	}
	v, _ := h.Get(name)
	return v
}

func (f *accesslog) OnLog(q api.RequestHeaderMap, qt api.RequestTrailerMap, r api.ResponseHeaderMap, rt api.ResponseTrailerMap) {
	code, _ := f.cb.StreamInfo().ResponseCode()
	size, err := f.cb.GetProperty("response.size")
	f.log("resp-code", fmt.Sprint(code))
	f.log("resp-size", fmt.Sprintf("%s %v", size, err))
	f.log("referer", get(q, "referer"))
	f.log("status", get(r, ":status"))
	f.log("req-trailer", get(qt, "x-trailer"))
	f.log("resp-trailer", get(rt, "x-trailer"))
	f.cb.StreamInfo().DynamicMetadata().Set("golang", "access_log_var", "written by the plugin")
}

func (f *accesslog) OnLogDownstreamStart(q api.RequestHeaderMap) {
	f.log("start-referer", get(q, "referer"))
}

func (f *accesslog) OnLogDownstreamPeriodic(q api.RequestHeaderMap, _ api.RequestTrailerMap, _ api.ResponseHeaderMap,
	_ api.ResponseTrailerMap,
) {
	f.log("periodic-referer", get(q, "referer"))
}
