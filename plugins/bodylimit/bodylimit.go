// Package bodylimit limits how large bodies may be.
package bodylimit

import (
	"embed"
	"errors"
	"strconv"
	"strings"

	"mosn.io/moe/framework/filter"
)

// BodyLimit refuses requests and responses whose bodies are larger than it allows. It holds no body back.
type BodyLimit struct {
	// Request is how large the body of a request may be; 0: any size.
	Request filter.Size `json:"request"`
	// Response is how large the body of a response may be; 0: any size.
	Response filter.Size `json:"response"`
	// RequireLength refuses requests with a body whose length their headers do not say.
	RequireLength bool `json:"requireLength"`
	// Status is that of the reply to a request that is too large.
	Status int `json:"status" default:"413" validate:"min=400,max=599"`
	// Body is the text of this reply.
	Body string `json:"body" default:"the body is too large"`
	// ResponseStatus is the status of the reply in place of a response that is too large.
	ResponseStatus int `json:"responseStatus" default:"502" validate:"min=400,max=599"`

	tooLarge, noLength, badResponse filter.Action
	counts                          counts
}

type counts struct {
	requests, responses, reset, noLength *filter.Counter
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.RegisterPerStream("bodylimit", filter.Traffic, (*BodyLimit).newStream, filter.Docs(docs))
}

// Validate refuses a configuration that limits nothing.
func (p *BodyLimit) Validate() error {
	if p.Request == 0 && p.Response == 0 && !p.RequireLength {
		return errors.New("request, response and requireLength are all missing: give one limit")
	}
	return nil
}

// Provision declares the counters.
func (p *BodyLimit) Provision(env *filter.Env) error {
	p.tooLarge = filter.Reply(p.Status, p.Body, filter.WithDetails("moe.bodylimit.request"))
	p.noLength = filter.Reply(411, "a content-length is required", filter.WithDetails("moe.bodylimit.length"))
	p.badResponse = filter.Reply(p.ResponseStatus, "the response is too large", filter.WithDetails("moe.bodylimit.response"))
	p.counts = counts{
		requests: env.Counter("requests"), responses: env.Counter("responses"),
		reset: env.Counter("reset"), noLength: env.Counter("no_length"),
	}
	return nil
}

// SkipsPhase is that of filter.PhaseSkipper: a body without a limit need not be seen. The response's headers say whether
// what follows the request's is a body.
func (p *BodyLimit) SkipsPhase(method string) bool {
	switch method {
	case "OnRequestBody":
		return p.Request == 0
	case "OnResponseHeaders":
		return p.Request == 0 && p.Response == 0
	case "OnResponseBody":
		return p.Response == 0
	}
	return false
}

// stream counts the bytes of both bodies.
type stream struct {
	p                 *BodyLimit
	request, response int64
	upgrade           string // the protocol that the request asks for
	tunnel            bool   // the upstream has agreed: what follows the headers is not a body
}

func (p *BodyLimit) newStream(filter.Stream) *stream { return &stream{p: p} }

// OnRequestHeaders goes by what the request says of its length.
func (st *stream) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, endStream bool) filter.Action {
	p := st.p
	st.upgrade = h.Upgrade()
	if endStream {
		return filter.Continue
	}
	switch n, known := length(h.Headers); {
	case p.Request > 0 && n > int64(p.Request):
		p.counts.requests.Inc()
		return p.tooLarge
	case p.RequireLength && !known && st.upgrade == "":
		p.counts.noLength.Inc()
		return p.noLength
	}
	return filter.Continue
}

// OnRequestBody counts a piece of the request's body.
func (st *stream) OnRequestBody(_ filter.Stream, b filter.Body, _ bool) filter.Action {
	p := st.p
	if st.tunnel || p.Request == 0 {
		return filter.Continue
	}
	if st.request += int64(b.Len()); st.request <= int64(p.Request) {
		return filter.Continue
	}
	p.counts.requests.Inc()
	return p.tooLarge
}

// OnResponseHeaders goes by what the response says of its length. A response to HEAD says it of a body that it does not
// have.
func (st *stream) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, endStream bool) filter.Action {
	p := st.p
	st.tunnel = st.upgrade != "" && h.Status() == 101 || st.upgrade == "connect" && h.Status() < 300
	if p.Response == 0 || endStream || st.tunnel {
		return filter.Continue
	}
	if n, _ := length(h.Headers); n > int64(p.Response) {
		p.counts.responses.Inc()
		return p.badResponse
	}
	return filter.Continue
}

// OnResponseBody counts a piece of the response's body. It is too late for a reply: the client must not take the
// response for a complete one.
func (st *stream) OnResponseBody(_ filter.Stream, b filter.Body, _ bool) filter.Action {
	p := st.p
	if st.tunnel || p.Response == 0 {
		return filter.Continue
	}
	if st.response += int64(b.Len()); st.response <= int64(p.Response) {
		return filter.Continue
	}
	p.counts.reset.Inc()
	return filter.Reset("the response's body is larger than bodylimit allows")
}

// length returns what the content-length says. One that is not a number, or not one number, counts as unknown: the
// bytes are counted as they come.
func length(h filter.Headers) (n int64, known bool) {
	if !h.Has("content-length") {
		return 0, false
	}
	values := h.Values("content-length")
	n, err := strconv.ParseInt(strings.TrimSpace(values[0]), 10, 64)
	if err != nil || n < 0 || len(values) > 1 {
		return 0, false
	}
	return n, true
}
