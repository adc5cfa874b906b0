package main

import (
	"fmt"
	"strings"

	"github.com/envoyproxy/envoy/contrib/golang/common/go/api"
)

func init() {
	register("echo", func(s settings, cb api.FilterCallbackHandler) api.StreamFilter {
		return &echo{stream: stream{cb: cb, settings: s}}
	})
	register("routeconfig", func(s settings, cb api.FilterCallbackHandler) api.StreamFilter {
		return &routeconfig{stream: stream{cb: cb, settings: s}}
	})
	register("action", func(_ settings, cb api.FilterCallbackHandler) api.StreamFilter {
		return &action{stream: stream{cb: cb}}
	})
	register("buffer", func(_ settings, cb api.FilterCallbackHandler) api.StreamFilter {
		return &buffer{stream: stream{cb: cb}}
	})
	register("secrets", func(s settings, cb api.FilterCallbackHandler) api.StreamFilter {
		return &secrets{stream: stream{cb: cb, settings: s}}
	})
}

// echo answers requests for match_path.
type echo struct{ stream }

func (f *echo) DecodeHeaders(h api.RequestHeaderMap, _ bool) api.StatusType {
	if h.Path() != f.settings["match_path"] {
		return api.Continue
	}
	f.decoder().SendLocalReply(403, fmt.Sprintf("%s, path: %s\r\n", f.settings["echo_body"], h.Path()), nil, 0, "echo")
	return api.LocalReply
}

// routeconfig changes responses as its merged configuration says.
type routeconfig struct{ stream }

func (f *routeconfig) EncodeHeaders(h api.ResponseHeaderMap, _ bool) api.StatusType {
	h.Del(f.settings["remove"])
	h.Set(f.settings["set"], "test-value")
	return api.Continue
}

// action waits for data that does not come.
type action struct{ stream }

var actions = map[string]api.StatusType{
	"":                       api.Continue,
	"StopAndBuffer":          api.StopAndBuffer,
	"StopAndBufferWatermark": api.StopAndBufferWatermark,
}

func (f *action) DecodeHeaders(h api.RequestHeaderMap, _ bool) api.StatusType {
	f.read(h)
	return f.run(f.decoder(), func() api.StatusType { return actions[f.query.Get("decodeHeadersRet")] })
}

func (f *action) EncodeHeaders(api.ResponseHeaderMap, bool) api.StatusType {
	return f.run(f.encoder(), func() api.StatusType { return actions[f.query.Get("encodeHeadersRet")] })
}

// buffer tries the operations of a buffer on both bodies.
type buffer struct{ stream }

func (f *buffer) DecodeHeaders(h api.RequestHeaderMap, _ bool) api.StatusType {
	f.read(h)
	return api.StopAndBuffer
}

func (f *buffer) DecodeData(b api.BufferInstance, _ bool) api.StatusType { return f.try(b) }

func (f *buffer) EncodeHeaders(api.ResponseHeaderMap, bool) api.StatusType { return api.StopAndBuffer }

func (f *buffer) EncodeData(b api.BufferInstance, _ bool) api.StatusType { return f.try(b) }

func (f *buffer) try(b api.BufferInstance) api.StatusType {
	n := b.Len()
	text := strings.Clone(b.String())
	must := func(want string) {
		if b.String() != want || b.Len() != len(want) || string(b.Bytes()) != want {
			panic(fmt.Sprintf("the buffer has %q, %d bytes, want %q", b.String(), b.Len(), want))
		}
	}
	must(text)
	switch {
	case f.query.Has("Drain"):
		b.Drain(n - 2)
		must(text[n-2:])
		b.Drain(n) // more than there is
		must("")
	case f.query.Has("Reset"):
		b.Reset()
		must("")
	case f.query.Has("ResetAfterDrain"):
		b.Drain(3)
		b.Reset()
		must("")
	case f.query.Has("Len"):
		b.Set([]byte("12"))
		b.WriteString("3")
		b.WriteByte('4')
		b.Write([]byte("56"))
		b.WriteUint16(78)
		b.WriteUint32(9012)
		b.WriteUint64(34567890)
		b.Prepend([]byte("0"))
		b.Append([]byte("!"))
		must("0" + "123456" + "78" + "9012" + "34567890" + "!")
	}
	return api.Continue
}

// secrets answers with the secret that its configuration names.
type secrets struct{ stream }

func (f *secrets) DecodeHeaders(h api.RequestHeaderMap, _ bool) api.StatusType {
	f.read(h)
	return f.run(f.decoder(), func() api.StatusType {
		value, ok := f.cb.SecretManager().GetGenericSecret(f.query.Get("name"))
		code := 200
		if !ok {
			code = 404
		}
		f.decoder().SendLocalReply(code, value, nil, -1, "secret")
		return api.LocalReply
	})
}
