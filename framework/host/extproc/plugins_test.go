package extproc

import (
	"bytes"
	"context"
	"io"
	"sync/atomic"

	"mosn.io/moe/framework/filter"
)

func init() {
	filter.Register[upper]("upper", filter.Transform)
	filter.Register[whole]("whole", filter.Transform)
	filter.Register[marks]("marks", filter.Transform)
	filter.Register[async]("async", filter.Transform)
	filter.Register[denies]("denies", filter.Transform)
	filter.Register[pipes]("pipes", filter.Transform)
	filter.Register[looks]("needscallouts", filter.Transform, filter.Needs(filter.CanCallout))
	filter.Register[looks]("looks", filter.Transform)
	filter.Register[echoes]("echoes", filter.Transform)
}

// completed counts OnComplete of all test plugins.
var completed atomic.Int64

// upper has body phases only.
type upper struct{}

func (*upper) OnRequestBody(_ filter.Stream, b filter.Body, _ bool) filter.Action {
	b.Set(bytes.ToUpper(b.Bytes()))
	return filter.Continue
}

func (*upper) OnResponseBody(_ filter.Stream, b filter.Body, _ bool) filter.Action {
	b.Set(bytes.ToUpper(b.Bytes()))
	return filter.Continue
}

func (*upper) OnComplete(filter.Stream) { completed.Add(1) }

// whole needs whole messages.
type whole struct{}

func (*whole) OnRequest(_ filter.Stream, h filter.RequestHeaders, b filter.Body) filter.Action {
	h.Set("x-whole", string(b.Bytes()))
	io.WriteString(b, "!")
	return filter.Continue
}

func (*whole) OnResponse(_ filter.Stream, h filter.ResponseHeaders, b filter.Body) filter.Action {
	h.Set("x-whole", string(b.Bytes()))
	io.WriteString(b, "!")
	return filter.Continue
}

func (*whole) OnComplete(filter.Stream) { completed.Add(1) }

// marks has all phases for headers.
type marks struct {
	Mark string `json:"mark" default:"yes"`
}

func (m *marks) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	h.Set("x-mark", m.Mark)
	h.Add("x-two", "2")
	h.Del("x-gone")
	s.SetMetadata("test", "mark", m.Mark)
	s.ClearRouteCache()
	return filter.Continue
}

func (m *marks) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	h.Set("x-mark", m.Mark)
	return filter.Continue
}

func (m *marks) OnResponseTrailers(_ filter.Stream, t filter.Headers) filter.Action {
	t.Set("x-mark", m.Mark)
	return filter.Continue
}

// async answers when the test lets it.
type async struct{}

var gate atomic.Pointer[chan struct{}]

func (*async) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	wait := *gate.Load()
	return filter.Go(func(ctx context.Context) filter.Action {
		select {
		case <-wait:
		case <-ctx.Done():
		}
		h.Set("x-async", "1")
		return filter.Continue
	})
}

func (*async) OnComplete(filter.Stream) { completed.Add(1) }

// denies replies, where the header x-deny names the phase.
type denies struct{}

func (*denies) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	if h.Get("x-deny") == "request" {
		return filter.Reply(403, "no", filter.WithHeader("x-a", "1"), filter.WithDetails("why"), filter.WithGRPCStatus(7))
	}
	return filter.Continue
}

func (*denies) OnResponseBody(s filter.Stream, _ filter.Body, _ bool) filter.Action {
	if s.RequestHeaders().Get("x-deny") == "response" {
		return filter.Reply(403, "no")
	}
	return filter.Continue
}

// pipes has nothing but a pipe.
type pipes struct{}

func (*pipes) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	return filter.Pipe(func(_ context.Context, w io.Writer, r io.Reader) error {
		_, err := io.Copy(w, r)
		if err == nil {
			_, err = io.WriteString(w, "|")
		}
		return err
	})
}

// looks keeps attributes and metadata.
type looks struct{}

var looked atomic.Value

func (*looks) OnRequestHeaders(s filter.Stream, _ filter.RequestHeaders, _ bool) filter.Action {
	protocol, _ := s.Attr(filter.AttrProtocol)
	path, _ := s.Attr("request.url_path")
	meta, _ := s.Metadata("in", "key")
	_, err := s.FilterState("x")
	looked.Store([]any{protocol, path, s.RemoteAddr().String(), meta, err})
	return filter.Continue
}

// echoes sets a header, metadata and details of a reply to the value of a header.
type echoes struct{}

func (*echoes) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	in := h.Get("x-in")
	h.Set("x-out", in)
	s.SetMetadata(in, in, map[string]any{in: in})
	if h.Has("x-reply") {
		return filter.Reply(403, in, filter.WithDetails(in))
	}
	return filter.Continue
}
