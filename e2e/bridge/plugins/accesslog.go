package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/envoyproxy/envoy/contrib/golang/common/go/api"
)

func init() {
	register("access_log", func(s settings, cb api.FilterCallbackHandler) api.StreamFilter {
		return &accesslog{stream: stream{cb: cb, settings: s}}
	})
	for i := range 2 { // each has a first stream of its own
		register(fmt.Sprintf("log_everything%d", i), func(s settings, cb api.FilterCallbackHandler) api.StreamFilter {
			return &logEverything{stream: stream{cb: cb, settings: s}}
		})
	}
}

// logged is what the log phases of earlier streams saw, by the value of key in the configuration.
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

// logEverything notes all headers and trailers that the log phase sees of a request for ?note=NAME, and answers one for
// ?show=NAME with them.
type logEverything struct {
	stream
	header api.RequestHeaderMap
	notes  []string
}

func (f *logEverything) note(of string, h api.HeaderMap) {
	var lines []string
	if h != nil {
		h.Range(func(key, value string) bool {
			lines = append(lines, fmt.Sprintf("%s: %s: %s\n", of, key, value))
			return true
		})
	}
	slices.Sort(lines)
	f.notes = append(f.notes, lines...)
}

func (f *logEverything) DecodeHeaders(h api.RequestHeaderMap, _ bool) api.StatusType {
	f.header = h
	f.read(h)
	show := f.query.Get("show")
	if show == "" {
		return api.Continue
	}
	logged.Lock()
	defer logged.Unlock()
	f.decoder().SendLocalReply(200, logged.by["everything"][f.settings["key"]+show], nil, -1, "show")
	return api.LocalReply
}

// OnStreamComplete may read the headers of earlier phases.
func (f *logEverything) OnStreamComplete() {
	if !f.query.Has("show") {
		f.note("complete", f.header)
	}
}

func (f *logEverything) OnLog(q api.RequestHeaderMap, qt api.RequestTrailerMap, r api.ResponseHeaderMap, rt api.ResponseTrailerMap) {
	if f.query.Has("show") {
		return
	}
	f.note("request", q)
	f.note("request trailers", qt)
	f.note("response", r)
	f.note("response trailers", rt)
	logged.Lock()
	defer logged.Unlock()
	all := logged.by["everything"]
	if all == nil {
		all = map[string]string{}
		logged.by["everything"] = all
	}
	all[f.settings["key"]+f.query.Get("note")] = strings.Join(f.notes, "")
}
