package mosn

import (
	"context"
	"io"

	"mosn.io/api"
	"mosn.io/moe/framework/filter"
	"mosn.io/pkg/buffer"
)

// message is one direction of the stream.
type message struct {
	block    *block        // the headers, where they are Envoy's: own
	headers  api.HeaderMap // block, or those of a reply
	data     api.IoBuffer  // nil where there is no body, or one that the filters do not read
	given    []byte        // the body as it came
	trailers api.HeaderMap // a copy, which filters may change

	trailersGiven api.HeaderMap // as they came

	own block
}

// arrive has filters find the headers h.
func (m *message) arrive(h filter.Headers) {
	m.own.h = h
	m.block, m.headers = &m.own, &m.own
}

// buffer returns the body as filters get it: without a body it is nil, and not a nil pointer.
func (m *message) buffer() api.IoBuffer {
	if isNil(m.data) {
		return nil
	}
	return m.data
}

// take has filters find a body. They may write to what they are given, so it is a copy, and no pool has it afterwards:
// one that keeps it finds nobody else's bytes.
func (m *message) take(b filter.Body) {
	m.given = b.Bytes()
	if len(m.given) > 0 {
		m.data = buffer.NewIoBufferBytes(append([]byte(nil), m.given...))
	}
}

// give sends on what filters have made of the message. The trailers have their phase after the body only where the plugin
// pipes it.
func (m *message) give(b filter.Body) filter.Action {
	var now []byte
	if d := m.buffer(); d != nil {
		now = d.Bytes()
	}
	if string(now) != string(m.given) {
		b.Set(append([]byte(nil), now...))
	}
	if m.trailers == nil || sameFields(m.trailers, m.trailersGiven) {
		return filter.Continue
	}
	return internals.KeepLength(filter.Pipe(func(_ context.Context, w io.Writer, r io.Reader) error {
		_, err := io.Copy(w, r)
		return err
	}))
}

// setData puts what is in data in the place of the body. It reads data at once: a filter may give its buffer back to a
// pool right afterwards.
func (m *message) setData(data api.IoBuffer) {
	switch {
	case isNil(data):
		m.data = nil
	case m.data == data:
	default:
		m.data = buffer.NewIoBufferBytes(append([]byte(nil), data.Bytes()...))
		data.Drain(data.Len())
	}
}

// takeTrailers has filters find trailers, which Envoy lets go in a phase of their own.
func (m *message) takeTrailers(t filter.Headers) {
	if t.Len() > 0 {
		m.trailers = copyOf(t)
		m.trailersGiven = m.trailers.Clone()
	}
}

// applyTrailers makes t what filters have left in the trailers, or have set.
func (m *message) applyTrailers(t filter.Headers) {
	if m.trailers != nil {
		(&block{h: t}).replace(m.trailers)
	}
}
