package mosn

import (
	"mosn.io/api"
	"mosn.io/pkg/buffer"
)

// handler is what both handlers of MOSN's API have.
type handler struct{ st *stream }

// Route returns the route; never nil, as Envoy has chosen one before filters run, or answers 404 after them.
func (h handler) Route() api.Route { return &h.st.ways }

// RequestInfo returns what is known of the stream.
func (h handler) RequestInfo() api.RequestInfo { return &h.st.info }

// Connection returns the client's connection.
func (h handler) Connection() api.Connection { return &h.st.conn }

// receiveHandler is MOSN's handler for filters of the request.
type receiveHandler struct{ handler }

// AppendHeaders begins a response, which the filters of the response do not see. It leaves when the filter returns.
func (h *receiveHandler) AppendHeaders(headers api.HeaderMap, endStream bool) {
	h.st.respond("AppendHeaders", &reply{fields: h.st.replyFields(headers), direct: true, open: !endStream})
}

// AppendData adds to the body of a response that AppendHeaders has begun.
func (h *receiveHandler) AppendData(buf api.IoBuffer, endStream bool) {
	h.st.mu.Lock()
	r := h.st.reply
	ok := r != nil && r.open
	if ok {
		if isNil(r.body) {
			r.body = buffer.NewIoBuffer(0)
		}
		if !isNil(buf) {
			_, _ = r.body.Write(buf.Bytes())
		}
		r.open = !endStream
	}
	h.st.mu.Unlock()
	if !ok {
		h.st.misuse("AppendData", "no response of the filter's own is open")
	}
}

// AppendTrailers ends a response. Its trailers are left out: no host of Envoy's can add any.
func (h *receiveHandler) AppendTrailers(trailers api.HeaderMap) {
	h.st.mu.Lock()
	r := h.st.reply
	ok := r != nil && r.open
	if ok {
		r.open = false
	}
	h.st.mu.Unlock()
	if !ok {
		h.st.misuse("AppendTrailers", "no response of the filter's own is open")
	}
	if !isNil(trailers) {
		_ = h.st.unsupported("AppendTrailers", "a response of a filter's own has no trailers in Envoy")
	}
}

// SendHijackReply answers the request.
func (h *receiveHandler) SendHijackReply(code int, headers api.HeaderMap) {
	h.st.respond("SendHijackReply", &reply{status: code, fields: h.st.replyFields(headers)})
}

// SendHijackReplyWithBody answers the request.
func (h *receiveHandler) SendHijackReplyWithBody(code int, headers api.HeaderMap, body string) {
	h.st.respond("SendHijackReplyWithBody", &reply{
		status: code, fields: h.st.replyFields(headers), body: stringBuffer(body),
	})
}

// SendDirectResponse answers the request with the status that the variable x-mosn-status has, or 200.
func (h *receiveHandler) SendDirectResponse(headers api.HeaderMap, buf api.IoBuffer, trailers api.HeaderMap) {
	r := &reply{fields: h.st.replyFields(headers)}
	if !isNil(buf) {
		r.body = buffer.NewIoBufferBytes(append([]byte(nil), buf.Bytes()...))
	}
	h.st.respond("SendDirectResponse", r)
}

// TerminateStream answers with code from any goroutine, and reports false when it comes too late for that.
func (h *receiveHandler) TerminateStream(code int) bool { return h.st.terminate(code) }

// GetRequestHeaders returns the request's headers.
func (h *receiveHandler) GetRequestHeaders() api.HeaderMap { return h.st.requestHeaders() }

// SetRequestHeaders makes the request's headers those of the argument.
func (h *receiveHandler) SetRequestHeaders(headers api.HeaderMap) {
	h.st.setHeaders(&h.st.request, headers)
}

// GetRequestData returns the request's body, or nil.
func (h *receiveHandler) GetRequestData() api.IoBuffer { return h.st.data(&h.st.request) }

// SetRequestData replaces the request's body by what buf holds at this moment.
func (h *receiveHandler) SetRequestData(buf api.IoBuffer) { h.st.setData(&h.st.request, buf) }

// GetRequestTrailers returns the request's trailers, or nil.
func (h *receiveHandler) GetRequestTrailers() api.HeaderMap { return h.st.trailers(&h.st.request) }

// SetRequestTrailers replaces the request's trailers, where it has any.
func (h *receiveHandler) SetRequestTrailers(trailers api.HeaderMap) {
	h.st.setTrailers("SetRequestTrailers", &h.st.request, trailers)
}

// GetFilterCurrentPhase returns the phase that runs, or ran last.
func (h *receiveHandler) GetFilterCurrentPhase() api.ReceiverFilterPhase { return h.st.phase }

// sendHandler is MOSN's handler for filters of the response.
type sendHandler struct{ handler }

// GetResponseHeaders returns the response's headers, or nil before there is a response.
func (h *sendHandler) GetResponseHeaders() api.HeaderMap {
	h.st.mu.Lock()
	defer h.st.mu.Unlock()
	return h.st.response.headers
}

// SetResponseHeaders makes the response's headers those of the argument.
func (h *sendHandler) SetResponseHeaders(headers api.HeaderMap) {
	h.st.setHeaders(&h.st.response, headers)
}

// GetResponseData returns the response's body, or nil.
func (h *sendHandler) GetResponseData() api.IoBuffer { return h.st.data(&h.st.response) }

// SetResponseData replaces the response's body by what buf holds at this moment.
func (h *sendHandler) SetResponseData(buf api.IoBuffer) { h.st.setData(&h.st.response, buf) }

// GetResponseTrailers returns the response's trailers, or nil.
func (h *sendHandler) GetResponseTrailers() api.HeaderMap { return h.st.trailers(&h.st.response) }

// SetResponseTrailers replaces the response's trailers, where it has any.
func (h *sendHandler) SetResponseTrailers(trailers api.HeaderMap) {
	h.st.setTrailers("SetResponseTrailers", &h.st.response, trailers)
}

// requestHeaders returns the request's headers, also before a filter of the request has run.
func (st *stream) requestHeaders() api.HeaderMap {
	if b := st.request.block; b != nil {
		return b
	}
	return &block{h: st.s.RequestHeaders().Headers}
}

// setHeaders makes the headers of a message those of the argument. The message's own are changed, and those of a filter's
// reply replaced. Before there is a message it does nothing.
func (st *stream) setHeaders(m *message, headers api.HeaderMap) {
	st.mu.Lock()
	b, isBlock := m.headers.(*block)
	if !isBlock && m.headers != nil {
		m.headers = headers
	}
	st.mu.Unlock()
	if isBlock {
		b.replace(headers)
	}
}

// data returns the body of a message, or nil.
func (st *stream) data(m *message) api.IoBuffer {
	st.mu.Lock()
	defer st.mu.Unlock()
	return m.buffer()
}

// setData replaces the body of a message.
func (st *stream) setData(m *message, data api.IoBuffer) {
	st.mu.Lock()
	defer st.mu.Unlock()
	m.setData(data)
}

// trailers returns the trailers of a message, or nil.
func (st *stream) trailers(m *message) api.HeaderMap {
	st.mu.Lock()
	defer st.mu.Unlock()
	return m.trailers
}

// setTrailers replaces the trailers of a message.
func (st *stream) setTrailers(method string, m *message, trailers api.HeaderMap) {
	st.mu.Lock()
	has := m.trailers != nil
	if has && !isNil(trailers) {
		m.trailers = trailers
	}
	st.mu.Unlock()
	if !has && !isNil(trailers) {
		_ = st.unsupported(method, "Envoy cannot add trailers to a message that has none")
	}
}
