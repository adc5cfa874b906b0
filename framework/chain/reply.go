package chain

import (
	"net/http"
	"strconv"

	"mosn.io/moe/framework/internal/core"
)

// The chain's own replies.
var (
	failed          = &core.Payload{Status: http.StatusInternalServerError, GRPC: -1}
	badUpgrade      = &core.Payload{Status: http.StatusBadRequest, GRPC: -1, Body: []byte("an upgrade has no body")}
	requestTooLarge = &core.Payload{
		Status: http.StatusRequestEntityTooLarge, GRPC: -1,
		Body: []byte("Payload Too Large"),
	}
	responseTooLarge = &core.Payload{
		Status: http.StatusInternalServerError, GRPC: -1,
		Body: []byte("Internal Server Error"),
	}
	requestStalled = &core.Payload{
		Status: http.StatusRequestTimeout, GRPC: -1, Body: []byte("request timeout"),
	}
	responseStalled = &core.Payload{
		Status: http.StatusGatewayTimeout, GRPC: -1, Body: []byte("upstream timeout"),
	}
	timedOut = &core.Payload{Status: http.StatusGatewayTimeout, GRPC: -1, Body: []byte("filter timeout")}
	// noConsumerChain is for a consumer's chain that is not made in time. No plugin is at fault.
	noConsumerChain = &core.Payload{Status: http.StatusGatewayTimeout, GRPC: -1, Body: []byte("filter timeout")}
)

// replied answers with the reply of plugin i, which is at a position of d.
func (st *Stream) replied(d *direction, i index, at position, r *core.Payload) {
	details := st.chain.details[i]
	if r.Details != "" {
		details = r.Details
	}
	st.chain.cells[i].replies.Add(1)
	if r.Err != nil {
		text := st.errorText(i, r.Err)
		st.log(i).Error("request failed", "error", text)
		st.observeFailure(i, d.phase())
	}
	if r.Status < 200 || r.Status > 599 {
		st.misuse(i, "replies with status "+strconv.Itoa(r.Status))
		r = failed
	}
	if r.Reader != nil && !r.Taken.CompareAndSwap(false, true) {
		st.misuse(i, "returns a ReplyReader again, and its reader can be read once: make one for each reply")
		r = failed
	}
	for f := range r.Header {
		if r.Header[f].Value != "" && !internals.ValidReplyField(r.Header[f]) {
			st.misuse(i, "replies with an invalid header "+strconv.Quote(r.Header[f].Name))
		}
	}
	st.reply(d, at, r, details)
}

// tooLarge answers a body that is over the buffer limit.
func (st *Stream) tooLarge(d *direction) {
	if d.dir == Request {
		st.reply(d, d.held.by, requestTooLarge, "request_payload_too_large")
	} else {
		st.reply(d, d.held.by, responseTooLarge, "response_payload_too_large")
	}
}

// replyBroken answers a stream for which a plugin could not make its handler. No plugin has seen anything.
func (st *Stream) replyBroken(d *direction) {
	details := st.chain.details[st.broken-1] + ".panic"
	st.broken = 0
	at := position(0) // so that no plugin sees the response
	if d.dir == Response {
		at = d.n - 1
	}
	st.reply(d, at, failed, details)
}

// reply starts the chain's own response, at the plugins that ran before the one at a position of d. It replaces a
// response that is under way and not sent; once it is sent, the stream is reset.
func (st *Stream) reply(d *direction, at position, r *core.Payload, details string) {
	if st.Observer != nil {
		st.observeReply(d, at, r, details)
	}
	response := &st.d[Response]
	if response.sent {
		st.replyTooLate(d.index(min(at, d.n-1)), details)
		return
	}
	first := at + 1 // in the response's order
	if d.dir == Request {
		first = d.n - at
		if response.suspended { // this plugin has seen headers that will not come
			first = max(first, response.at+1)
		}
	}
	if response.held.holds {
		first = max(first, response.held.by+1)
	}
	first = max(first, response.first)

	if d.dir == Request {
		_ = st.handOver() // for what notes the request; nothing else of the next part sees it
	}
	st.Reply = Reply{Replied: true, ReplyDetails: details, ReplyGRPC: r.GRPC}
	st.kill(&st.d[Request])
	st.revoke(response)
	st.drop(response)
	st.writeReply(r)

	body, end := r.Body, r.Reader == nil
	if noBody(r.Status) || st.isHead() {
		body, end = nil, true
	}
	response.reset()
	response.used = true
	response.course = course{stage: atHeaders, at: first, first: first, headersEnd: end && len(body) == 0}
	response.flight = flight{chunk: body, hasChunk: len(body) > 0, end: end, from: first}
	if r.Reader != nil {
		response.reader = newReplyReader(st, first, r.Reader)
		if end {
			response.reader.close()
			response.reader = nil
		} else {
			// Envoy's own field of an access log is for local replies, which a reader's cannot be.
			_ = st.Host.SetMetadata(MetadataNamespace, MetadataReplyDetails, details)
		}
	}
	if d.dir == Request {
		st.run(response)
	}
}

// writeReply puts the headers of r into the response's block.
func (st *Stream) writeReply(r *core.Payload) {
	st.Mu.Lock()
	defer st.Mu.Unlock()
	st.Remote &^= 1<<core.ResponseHeaders | 1<<core.ResponseTrailers
	t := &st.H[core.ResponseTrailers]
	t.ClearChanges()
	t.Drop()
	b := &st.H[core.ResponseHeaders]
	b.Owner.Store(0)
	b.ClearChanges()
	b.Drop()
	b.Present = true
	b.Fields = append(b.Fields, core.Field{Name: ":status", Value: status(r.Status)})
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
func (st *Stream) kill(d *direction) {
	st.revoke(d)
	st.drop(d)
	d.queue.clear()
	d.stage, d.flight, d.held, d.used = dead, flight{}, held{}, true
}

// revoke takes the blocks and the body of a direction from the plugin that works on them in the background.
func (st *Stream) revoke(d *direction) {
	if !d.suspended {
		return
	}
	st.Mu.Lock()
	for _, block := range [...]int{d.dir.Headers(), d.dir.Trailers()} {
		if owner := st.H[block].Owner.Swap(0); owner != 0 {
			st.H[block].Revoked.Store(owner)
		}
	}
	if owner := st.B[d.dir].Owner; owner != 0 {
		st.B[d.dir] = core.Body{}
		st.H[d.dir.Headers()].Revoked.Store(owner)
	}
	st.Mu.Unlock()
}

// replyTooLate resets the stream for a reply of plugin i, or for its fault, because the response has begun.
func (st *Stream) replyTooLate(i index, details string) {
	st.chain.cells[i].lateReplies.Add(1)
	st.log(i).Warn("a reply comes after the response has begun: the stream is reset", "details", details)
	st.reset("reply (" + details + ") after the response has begun")
}

// reset ends the stream abruptly.
func (st *Stream) reset(reason string) { st.resetBecause(reason, "") }

// resetBecause is reset for an error of a plugin's. What that says may be a secret, so observers learn the reason only.
func (st *Stream) resetBecause(reason, text string) {
	if st.over {
		return
	}
	st.over = true
	st.tellObserver(StreamResets, "", 0, reason)
	st.revoke(&st.d[Request])
	st.revoke(&st.d[Response])
	st.halt()
	if text != "" {
		reason += ": " + text
	}
	st.sink.Reset(reason)
}

// isHead reports whether the request's method is HEAD, whose response has no body.
func (st *Stream) isHead() bool {
	return st.handle(0).RequestHeaders().Method() == http.MethodHead
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
