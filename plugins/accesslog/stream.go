package accesslog

import (
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/format"
)

// stream is what is measured of one stream. The request's phases and the response's may run at the same time, so they
// share no field.
type stream struct {
	log   *AccessLog
	start time.Time

	sent      int64     // bytes of the request's body
	requested time.Time // when its last byte came; zero: it did not

	received  int64 // bytes of the response's body
	began     time.Time
	completed bool // its last byte has gone on

	fields []field // scratch of the encoder
	taken  []bool
}

func (p *AccessLog) newStream(s filter.Stream) *stream {
	x, ok := p.streams.Get().(*stream)
	if !ok { // a benchmark without Provision
		x = new(stream)
	}
	*x = stream{log: p, start: time.Now(), fields: x.fields[:0], taken: x.taken[:0]}
	if p.timed {
		format.Start(s)
	}
	return x
}

// OnRequestHeaders notes whether they are all.
func (x *stream) OnRequestHeaders(_ filter.Stream, _ filter.RequestHeaders, end bool) filter.Action {
	x.request(end)
	return filter.Continue
}

// OnRequestBody counts.
func (x *stream) OnRequestBody(_ filter.Stream, b filter.Body, end bool) filter.Action {
	x.sent += int64(b.Len())
	x.request(end)
	return filter.Continue
}

// OnRequestTrailers notes the end of the request.
func (x *stream) OnRequestTrailers(filter.Stream, filter.Headers) filter.Action {
	x.request(true)
	return filter.Continue
}

func (x *stream) request(end bool) {
	if end {
		x.requested = time.Now()
	}
}

// OnResponseHeaders notes when the response began.
func (x *stream) OnResponseHeaders(_ filter.Stream, _ filter.ResponseHeaders, end bool) filter.Action {
	x.began, x.completed = time.Now(), end
	return filter.Continue
}

// OnResponseBody counts.
func (x *stream) OnResponseBody(_ filter.Stream, b filter.Body, end bool) filter.Action {
	x.received += int64(b.Len())
	x.completed = end
	return filter.Continue
}

// OnResponseTrailers notes the end of the response.
func (x *stream) OnResponseTrailers(filter.Stream, filter.Headers) filter.Action {
	x.completed = true
	return filter.Continue
}

// OnComplete writes the line, if the stream is one of those that are logged.
func (x *stream) OnComplete(s filter.Stream) {
	p, now := x.log, time.Now()
	if p.selects(x, s, now) {
		line := lines.Get().(*[]byte)
		*line = x.encode((*line)[:0], s, now)
		if p.sink != nil {
			p.sink.write(*line, int64(p.Buffer), &p.counts)
		}
		if cap(*line) <= maxPooledLine {
			lines.Put(line)
		}
	} else {
		p.counts.skipped.Inc()
	}
	clear(x.fields[:cap(x.fields)])
	x.log = nil
	p.streams.Put(x)
}
