package main

import (
	"fmt"
	"strings"

	"github.com/envoyproxy/envoy/contrib/golang/common/go/api"
)

func init() {
	register("basic", func(s settings, cb api.FilterCallbackHandler) api.StreamFilter {
		return &basic{stream: stream{cb: cb, settings: s}}
	})
}

// basic changes all parts of requests and responses, and does in a phase what the query asks for.
type basic struct {
	stream
	headers                    api.RequestHeaderMap
	scheme, method, host, path string
	bodyLength                 int
}

func (f *basic) DecodeHeaders(h api.RequestHeaderMap, end bool) api.StatusType {
	f.read(h)
	return f.run(f.decoder(), func() api.StatusType { return f.decodeHeaders(h, end) })
}

func (f *basic) decodeHeaders(h api.RequestHeaderMap, end bool) api.StatusType {
	f.nap("sleep")
	f.headers = h
	f.scheme, f.method, f.host, f.path = h.Scheme(), h.Method(), h.Host(), h.Path()
	if s := f.asked("decode-header", f.decoder()); s != 0 {
		return s
	}
	info := f.cb.StreamInfo()
	h.Set("req-downstream-local-address", info.DownstreamLocalAddress())
	h.Set("req-downstream-remote-address", info.DownstreamRemoteAddress())
	h.Set("req-route-name", info.GetRouteName())
	info.FilterState().SetString("go_state", "remembered", api.StateTypeReadOnly, api.LifeSpanRequest, api.SharedWithUpstreamConnection)
	h.Set("go-state", info.FilterState().GetString("go_state"))
	change(h)
	f.route(h)
	if s := f.override(); s != 0 {
		return s
	}
	if f.query.Get("dymeta") != "" {
		md := info.DynamicMetadata()
		for k, v := range md.Get("before") {
			h.Set("md-"+k, fmt.Sprint(v))
		}
		md.Set("golang", "text", "t")
		md.Set("golang", "number", 7)
		md.Set("golang", "truth", true)
		for k, v := range md.Get("golang") {
			h.Set("own-"+k, fmt.Sprint(v))
		}
	}
	if !end && f.query.Get("databuffer") == "decode-header" {
		return api.StopAndBuffer
	}
	return api.Continue
}

// change makes every kind of change to headers.
func change(h api.HeaderMap) {
	was, _ := h.Get("x-test-header-0")
	h.Set("test-x-set-header-0", was)
	h.Del("x-test-header-1")
	h.Add("existed-header", "bar")
	h.Add("newly-added-header", "foo")
	h.Add("newly-added-header", "bar")
}

// asked replies, panics or misuses the API if the query asks for that in phase.
func (f *basic) asked(phase string, p api.FilterProcessCallbacks) api.StatusType {
	switch phase {
	case f.query.Get("localreply"):
		p.SendLocalReply(403, "forbidden from go in "+phase+"\r\n",
			map[string][]string{"content-type": {"text/html"}, "test-phase": {phase}, "x-two-values": {"foo", "bar"}}, -1, "go_"+phase)
		return api.LocalReply
	case f.query.Get("panic"):
		var none []string
		none[len(phase)] = phase
	case f.query.Get("badapi"):
		f.headers.Set("too", "late")
	}
	return 0
}

func (f *basic) route(h api.RequestHeaderMap) {
	if p := f.query.Get("newPath"); p != "" {
		h.SetPath(p)
	}
	if f.query.Get("clearRoute") != "" {
		f.cb.ClearRouteCache()
	}
	if f.query.Get("refreshRoute") != "" {
		h.SetPath("/second/api")
		f.cb.RefreshRouteCache()
		h.SetPath("/third/api") // not looked at again
	}
	if f.query.Get("drainConnection") != "" {
		drain(f.cb)
	}
}

func (f *basic) override() api.StatusType {
	host := f.query.Get("upstreamOverrideHost")
	if host == "" {
		return 0
	}
	if err := f.decoder().SetUpstreamOverrideHost(host, f.query.Get("strict") != ""); err != nil {
		f.decoder().SendLocalReply(403, err.Error(), nil, -1, "bad_host")
		return api.LocalReply
	}
	return 0
}

func (f *basic) DecodeData(b api.BufferInstance, end bool) api.StatusType {
	return f.run(f.decoder(), func() api.StatusType {
		f.nap("data_sleep")
		if s := f.asked("decode-data", f.decoder()); s != 0 {
			return s
		}
		f.bodyLength += b.Len()
		b.SetString(strings.ToUpper(b.String()))
		b.PrependString("prepend_")
		b.AppendString("_append")
		if f.query.Get("databuffer") == "decode-data" {
			return api.StopAndBuffer // with what comes; there is no more, and the trailers send it on
		}
		return api.Continue
	})
}

func (f *basic) DecodeTrailers(t api.RequestTrailerMap) api.StatusType {
	return f.run(f.decoder(), func() api.StatusType {
		if v, ok := t.Get("existed-trailer"); ok && v == "foo" {
			t.Add("existed-trailer", "bar")
		}
		t.Set("x-test-trailer-0", "bar")
		t.Del("x-test-trailer-1")
		t.Add("x-test-trailer-2", "bar")
		return api.Continue
	})
}

func (f *basic) EncodeHeaders(h api.ResponseHeaderMap, _ bool) api.StatusType {
	return f.run(f.encoder(), func() api.StatusType {
		f.nap("sleep")
		if s := f.asked("encode-header", f.encoder()); s != 0 {
			return s
		}
		change(h)
		f.tell(h)
		return api.Continue
	})
}

// tell writes into the response what the SDK says about the stream.
func (f *basic) tell(h api.ResponseHeaderMap) {
	info := f.cb.StreamInfo()
	maybe := func(name, v string, ok bool) {
		if ok {
			h.Set(name, v)
		}
	}
	number := func(name string, n uint32, ok bool) { maybe(name, fmt.Sprint(n), ok) }
	h.Set("rsp-route-name", info.GetRouteName())
	h.Set("rsp-filter-chain-name", info.FilterChainName())
	h.Set("rsp-attempt-count", fmt.Sprint(info.AttemptCount()))
	h.Set("rsp-go-state", info.FilterState().GetString("go_state"))
	v, ok := info.Protocol()
	maybe("rsp-protocol", v, ok)
	n, ok := info.ResponseCode()
	number("rsp-response-code", n, ok)
	v, ok = info.ResponseCodeDetails()
	maybe("rsp-response-code-details", v, ok)
	v, ok = info.UpstreamRemoteAddress()
	maybe("rsp-upstream-host", v, ok)
	v, ok = info.UpstreamClusterName()
	maybe("rsp-upstream-cluster", v, ok)
	v, ok = info.VirtualClusterName()
	maybe("rsp-virtual-cluster-name", v, ok)
	status, ok := h.Status()
	number("rsp-status", uint32(status), ok)
	for name, v := range map[string]string{
		"test-scheme": f.scheme, "test-method": f.method, "test-host": f.host, "test-path": f.path,
		"test-req-body-length": fmt.Sprint(f.bodyLength), "test-log-level": f.cb.LogLevel().String(),
	} {
		h.Set(name, v)
	}
}

func (f *basic) EncodeData(b api.BufferInstance, _ bool) api.StatusType {
	return f.run(f.encoder(), func() api.StatusType {
		f.nap("data_sleep")
		if s := f.asked("encode-data", f.encoder()); s != 0 {
			return s
		}
		b.SetString(strings.ToUpper(b.String()))
		return api.Continue
	})
}
