package validate

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/wholebody"
)

// stream is what is known of a request.
type stream struct {
	p     *Validate
	rules *rules
	head  bool                                   // the response has no body, whatever it says
	in    *openapi3filter.RequestValidationInput // nil without an operation
	parts [2]part
}

// part is how the body of one direction is validated.
type part struct {
	media   string              // of the body
	schema  *jsonschema.Schema  // of the configuration
	apiType *openapi3.MediaType // of the document
	room    int64               // what the body may still have; -1: any amount
}

// reads reports whether the body is needed.
func (q *part) reads() bool { return q.schema != nil || q.apiType != nil && q.apiType.Schema != nil }

// none reports whether the content-type is none. A wildcard in the document is not for that.
func (q *part) none(h filter.Headers) bool { return q.media == "" && h.Get("content-type") != "" }

func (p *Validate) newStream(filter.Stream) *stream {
	return &stream{p: p, parts: [2]part{{room: -1}, {room: -1}}}
}

const (
	ofRequest  = 0
	ofResponse = 1
)

// OnRequestHeaders holds all but the body against the rules, and waits for the body if there are rules about it.
func (st *stream) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, endStream bool) filter.Action {
	p := st.p
	st.rules, st.head = p.rules.Load(), h.Method() == http.MethodHead
	if a := st.rules.api; a != nil {
		in, problem := a.request(&http.Request{
			Method: h.Method(), URL: h.URL(), Host: h.Host(), Header: h.HTTP(), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		}, p.MaxErrors)
		st.in = in
		if problem != nil && (in != nil || p.UnknownPaths == "refuse") {
			return st.conclude(s, ofRequest, problem, filter.Continue)
		}
	}
	if p.Responses && st.in != nil || st.rules.messages[ofResponse] != nil && st.rules.messages[ofResponse].schema != nil {
		wholebody.Ask(h)
	}
	m := st.rules.messages[ofRequest]
	required := m != nil && m.Required
	var content openapi3.Content
	if st.in != nil {
		if b := st.in.Route.Operation.RequestBody; b != nil && b.Value != nil {
			required = required || b.Value.Required
			content = b.Value.Content
		}
	}
	if h.Upgrade() != "" || !required && endStream {
		return st.conclude(s, ofRequest, nil, filter.Continue)
	}
	if endStream {
		return st.conclude(s, ofRequest, newProblem(p.Status, "invalid", "a body is required"), filter.Continue)
	}
	q := &st.parts[ofRequest]
	if problem := q.headers(p, m, h.Headers, required); problem != nil {
		return st.conclude(s, ofRequest, problem, filter.Continue)
	}
	if len(content) > 0 {
		if q.apiType = content.Get(h.Get("content-type")); q.apiType == nil || q.none(h.Headers) {
			return st.conclude(s, ofRequest, newProblem(http.StatusUnsupportedMediaType, "type", "the API does not take bodies of this type"), filter.Continue)
		}
		if !isJSON(q.media) && !decodes(q.media) {
			q.apiType = nil
		}
	}
	return st.wait(s, ofRequest, h.Headers, required)
}

// headers checks what the headers say of a body.
func (q *part) headers(p *Validate, m *message, h filter.Headers, required bool) *problem {
	q.media, q.room = mediaType(h.Get("content-type")), -1
	if m == nil {
		return nil
	}
	q.schema = m.schema
	if len(m.ContentTypes) > 0 && !accepts(m.ContentTypes, q.media) {
		return newProblem(http.StatusUnsupportedMediaType, "type", "the body is of another media type than is expected")
	}
	if m.MaxSize > 0 {
		q.room = int64(m.MaxSize)
	}
	return nil
}

// wait goes on with the body: it is waited for if it is to be validated.
func (st *stream) wait(s filter.Stream, d int, h filter.Headers, required bool) filter.Action {
	q, p := &st.parts[d], st.p
	limit := q.room
	if q.reads() {
		if limit < 0 || limit > int64(p.MaxBody) {
			limit = int64(p.MaxBody)
		}
		if e := h.Get("content-encoding"); e != "" && !strings.EqualFold(e, "identity") {
			return st.conclude(s, d, newProblem(http.StatusUnsupportedMediaType, "type", "the body has a content-encoding"), filter.Continue)
		}
	}
	if n, err := strconv.ParseInt(h.Get("content-length"), 10, 64); err == nil && limit >= 0 && n > limit {
		return st.conclude(s, d, tooLong, filter.Continue)
	}
	switch {
	case q.reads():
		return filter.WaitPrefix(int(limit) + 1)
	case required:
		return filter.WaitPrefix(1)
	case q.room < 0:
		return st.conclude(s, d, nil, filter.Continue)
	}
	return filter.Continue
}

var tooLong = newProblem(http.StatusRequestEntityTooLarge, "size", "the body is too long")

// OnRequest validates the body.
func (st *stream) OnRequest(s filter.Stream, _ filter.RequestHeaders, b filter.Body) filter.Action {
	return st.body(s, ofRequest, b)
}

func (st *stream) body(s filter.Stream, d int, b filter.Body) filter.Action {
	q := &st.parts[d]
	data := b.Bytes()
	if q.room >= 0 {
		if q.room -= int64(len(data)); q.room < 0 {
			return st.conclude(s, d, tooLong, filter.Continue)
		}
	}
	if !q.reads() {
		if len(data) == 0 {
			return st.conclude(s, d, newProblem(st.p.Status, "invalid", "a body is required"), filter.Continue)
		}
		return st.conclude(s, d, nil, filter.Continue)
	}
	if !b.Complete() || int64(len(data)) > int64(st.p.MaxBody) {
		return st.conclude(s, d, tooLong, filter.Continue)
	}
	return filter.Go(func(ctx context.Context) filter.Action { // which takes long for Envoy's thread
		problem := st.check(ctx, d, data)
		if ctx.Err() != nil { // nobody waits for it any more
			return filter.Reply(http.StatusServiceUnavailable, "")
		}
		return st.conclude(s, d, problem, filter.Continue)
	})
}

// check holds a whole body against the schemas. The libraries cannot be interrupted: with ctx it
// ends between them, and then says nothing.
func (st *stream) check(ctx context.Context, d int, data []byte) *problem {
	q, p := &st.parts[d], st.p
	if q.schema == nil && !isJSON(q.media) {
		return st.rules.api.form(ctx, st.in, data, p.MaxErrors)
	}
	if len(data) == 0 && d == ofRequest && st.in != nil && !st.in.Route.Operation.RequestBody.Value.Required && q.schema == nil {
		return nil
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return newProblem(p.Status, "invalid", "the body is not JSON")
	}
	if !bounded(v) {
		return newProblem(p.Status, "invalid", tooBig)
	}
	if !unique(data, v) {
		return newProblem(p.Status, "invalid", twice)
	}
	if ctx.Err() != nil {
		return nil
	}
	if q.schema != nil {
		if err := q.schema.Validate(v); err != nil {
			return newProblem(p.Status, "invalid", "the body is not as the schema says", violations(err, p.MaxErrors)...)
		}
	}
	if q.apiType == nil || q.apiType.Schema == nil {
		return nil
	}
	if ctx.Err() != nil {
		return nil
	}
	return st.rules.api.body(q.apiType, v, d == ofRequest, p.MaxErrors)
}

// OnRequestBody counts a body that is only measured.
func (st *stream) OnRequestBody(s filter.Stream, b filter.Body, endStream bool) filter.Action {
	return st.count(s, ofRequest, b, endStream)
}

func (st *stream) count(s filter.Stream, d int, b filter.Body, endStream bool) filter.Action {
	q := &st.parts[d]
	if q.reads() || q.room < 0 {
		return filter.Continue
	}
	if q.room -= int64(b.Len()); q.room < 0 {
		return st.conclude(s, d, tooLong, filter.Continue)
	}
	if endStream {
		return st.conclude(s, d, nil, filter.Continue)
	}
	return filter.Continue
}

// bodiless reports whether responses of a status never have a body (RFC 9110, section 6.4.1).
func bodiless(status int) bool {
	return status < 200 || status == http.StatusNoContent || status == http.StatusNotModified
}

// OnResponseHeaders is OnRequestHeaders for the response.
func (st *stream) OnResponseHeaders(s filter.Stream, h filter.ResponseHeaders, endStream bool) filter.Action {
	if st.rules == nil {
		return filter.Continue
	}
	m := st.rules.messages[ofResponse]
	fromAPI := st.p.Responses && st.in != nil
	if m == nil && !fromAPI || st.head || bodiless(h.Status()) {
		return filter.Continue
	}
	required := m != nil && m.Required
	if endStream {
		if required {
			return st.conclude(s, ofResponse, newProblem(502, "invalid", "a body is required"), filter.Continue)
		}
		return st.conclude(s, ofResponse, nil, filter.Continue)
	}
	q := &st.parts[ofResponse]
	if problem := q.headers(st.p, m, h.Headers, required); problem != nil {
		return st.conclude(s, ofResponse, problem, filter.Continue)
	}
	if fromAPI {
		t, ok := responseType(st.in.Route.Operation, h.Status(), h.Get("content-type"))
		if !ok || t != nil && q.none(h.Headers) {
			return st.conclude(s, ofResponse, newProblem(502, "type", "the API does not answer with this type"), filter.Continue)
		}
		if isJSON(q.media) {
			q.apiType = t
		}
	}
	return st.wait(s, ofResponse, h.Headers, required)
}

// OnResponse validates the body.
func (st *stream) OnResponse(s filter.Stream, _ filter.ResponseHeaders, b filter.Body) filter.Action {
	return st.body(s, ofResponse, b)
}

// OnResponseBody counts a body that is only measured.
func (st *stream) OnResponseBody(s filter.Stream, b filter.Body, endStream bool) filter.Action {
	return st.count(s, ofResponse, b, endStream)
}

// conclude counts, notes, logs, and goes on or refuses. What is wrong with a response is not the client's business.
func (st *stream) conclude(s filter.Stream, d int, problem *problem, next filter.Action) filter.Action {
	p, direction := st.p, directions[d]
	if problem == nil {
		p.counts.valid.With(direction).Inc()
		return next
	}
	if p.metadata {
		_ = s.SetMetadata(p.ns, direction, problem.reason) // the request does not depend on it
		if p.Shadow {
			_ = s.SetMetadata(p.ns, "shadow", true)
		}
	}
	s.Log().Info("not valid", "direction", direction, "why", problem.summary(), "shadow", p.Shadow)
	st.parts[d] = part{room: -1} // the rest passes
	if p.Shadow {
		p.counts.shadowed.With(direction).Inc()
		return next
	}
	p.counts.invalid.With(direction).Inc()
	told := *problem
	switch {
	case d == ofResponse:
		told = *newProblem(http.StatusBadGateway, problem.reason, "the upstream's response is not valid")
	case told.Status == 0:
		told.Status, told.Title = p.Status, http.StatusText(p.Status)
	}
	return told.reply(p.name)
}
