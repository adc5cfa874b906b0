package chain

import (
	"net/http"
	"strconv"

	"mosn.io/moe/framework/internal/core"
)

// The chain's own replies.
var (
	failed          = &core.Payload{Status: http.StatusInternalServerError, GRPC: -1}
	requestTooLarge = &core.Payload{
		Status: http.StatusRequestEntityTooLarge, GRPC: -1,
		Body: []byte("Payload Too Large"),
	}
	responseTooLarge = &core.Payload{
		Status: http.StatusInternalServerError, GRPC: -1,
		Body: []byte("Internal Server Error"),
	}
	timedOut = &core.Payload{Status: http.StatusGatewayTimeout, GRPC: -1, Body: []byte("filter timeout")}
)

// replied answers with the reply of plugin p, which is at pos.
func (st *Stream) replied(di core.Direction, p, pos int, r *core.Payload) {
	details := st.chain.details[p]
	if r.Details != "" {
		details = r.Details
	}
	st.chain.cells[p].replies.Add(1)
	if r.Err != nil {
		internals.Stream(&st.Stream, p).Log().Error("request failed", "error", r.Err)
	}
	if r.Status < 200 || r.Status > 599 {
		st.chain.report(p, "replies with status "+strconv.Itoa(r.Status))
		r = failed
	}
	for i := range r.Header {
		if r.Header[i].Value != "" && !internals.ValidReplyField(r.Header[i]) {
			st.chain.report(p, "replies with an invalid header "+strconv.Quote(r.Header[i].Name))
		}
	}
	st.reply(di, pos, r, details)
}

// tooLarge answers a body that is over the buffer limit.
func (st *Stream) tooLarge(di core.Direction, d *dir) {
	if di == Request {
		st.reply(di, d.hold, requestTooLarge, "request_payload_too_large")
	} else {
		st.reply(di, d.hold, responseTooLarge, "response_payload_too_large")
	}
}

// replyBroken answers a stream for which a plugin could not make its handler. No plugin has seen anything.
func (st *Stream) replyBroken(di core.Direction) {
	details := st.chain.details[st.broken-1] + ".panic"
	st.broken = 0
	pos := 0 // so that no plugin sees the response
	if di == Response {
		pos = st.d[di].n - 1
	}
	st.reply(di, pos, failed, details)
}

// reply starts the chain's own response, at the plugins that ran before the one at pos. It replaces a response that is
// under way and not sent; once it is sent, the stream is reset.
func (st *Stream) reply(di core.Direction, pos int, r *core.Payload, details string) {
	d := &st.d[Response]
	if d.sent {
		st.reset("reply (" + details + ") after the response has begun")
		return
	}
	start := pos + 1 // in response order
	if di == Request {
		start = d.n - pos
		if d.susp { // this plugin has seen headers that will not come
			start = max(start, d.idx+1)
		}
	}
	start = max(start, d.hold+1, d.first)

	st.Replied, st.ReplyDetails, st.ReplyGRPC = true, details, r.GRPC
	st.kill(Request)
	st.revoke(Response)
	st.drop(Response)
	st.writeReply(r)

	body, end := r.Body, r.Reader == nil
	if noBody(r.Status) || st.isHead() {
		body, end = nil, true
	}
	*d = dir{
		n: d.n, hold: -1, used: true, epoch: d.epoch, queue: d.queue[:0], stage: atHeaders,
		idx: start, base: start, first: start,
		cur: body, have: len(body) > 0, end: end, hEnd: end && len(body) == 0,
	}
	if r.Reader != nil {
		d.src = newSource(st, start, r.Reader)
		if end {
			d.src.close()
			d.src = nil
		}
	}
	if di == Request {
		st.run(Response)
	}
}

// writeReply puts the headers of r into the response's block.
func (st *Stream) writeReply(r *core.Payload) {
	st.Mu.Lock()
	defer st.Mu.Unlock()
	st.Remote &^= 1<<core.ResponseHeaders | 1<<core.ResponseTrailers
	t := &st.H[core.ResponseTrailers]
	t.ClearChanges()
	t.Fields, t.Present = t.Fields[:0], false
	b := &st.H[core.ResponseHeaders]
	b.Owner.Store(0)
	b.ClearChanges()
	b.Present = true
	b.Fields = append(b.Fields[:0], core.Field{Name: ":status", Value: status(r.Status)})
	typed, length := false, r.Reader != nil
	for _, f := range r.Header {
		if !internals.ValidReplyField(f) || f.Name == "content-length" && !length {
			continue
		}
		typed = typed || f.Name == "content-type"
		b.Fields = append(b.Fields, f)
	}
	if len(r.Body) == 0 || noBody(r.Status) {
		return
	}
	if !typed { // as Envoy's own local replies
		b.Fields = append(b.Fields, core.Field{Name: "content-type", Value: "text/plain"})
	}
	if !length {
		b.Fields = append(b.Fields, core.Field{Name: "content-length", Value: strconv.Itoa(len(r.Body))})
	}
}

// kill ends a direction for good.
func (st *Stream) kill(di core.Direction) {
	d := &st.d[di]
	d.used = true
	st.revoke(di)
	st.drop(di)
	clear(d.queue)
	d.queue, d.qhead = d.queue[:0], 0
	d.stage, d.have, d.trail, d.hold, d.cur, d.buf = dead, false, false, -1, nil, nil
}

// revoke takes the blocks and the body of a direction from the plugin that works on them in the background.
func (st *Stream) revoke(di core.Direction) {
	if !st.d[di].susp {
		return
	}
	st.Mu.Lock()
	for i := di.Headers(); i < di.Headers()+2; i++ {
		if owner := st.H[i].Owner.Swap(0); owner != 0 {
			st.H[i].Revoked.Store(owner)
		}
	}
	if owner := st.B[di].Owner; owner != 0 {
		st.B[di] = core.Body{}
		st.H[di.Headers()].Revoked.Store(owner)
	}
	st.Mu.Unlock()
}

// reset ends the stream abruptly.
func (st *Stream) reset(reason string) {
	if st.over {
		return
	}
	st.over = true
	st.revoke(Request)
	st.revoke(Response)
	st.halt()
	st.sink.Reset(reason)
}

// isHead reports whether the request's method is HEAD, whose response has no body.
func (st *Stream) isHead() bool {
	return internals.Stream(&st.Stream, 0).RequestHeaders().Method() == http.MethodHead
}

func status(n int) string {
	switch n { // without an allocation
	case 200:
		return "200"
	case 401:
		return "401"
	case 403:
		return "403"
	case 404:
		return "404"
	case 429:
		return "429"
	case 500:
		return "500"
	case 503:
		return "503"
	}
	return strconv.Itoa(n)
}
