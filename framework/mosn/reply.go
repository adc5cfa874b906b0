package mosn

import (
	"errors"
	"strconv"
	"strings"

	"mosn.io/api"
	"mosn.io/moe/framework/filter"
	"mosn.io/pkg/buffer"
	"mosn.io/pkg/variable"
)

var errTooManyRounds = errors.New("a MOSN filter asks for the route, or the host, again and again; give up after " +
	strconv.Itoa(mostRounds) + " times")

// reply is what a filter answers.
type reply struct {
	status int // 0: what the variable x-mosn-status says
	fields *fields
	body   api.IoBuffer
	direct bool // the filters of the response do not see it
	open   bool // more of it may come
}

// notForReplies are fields that no reply takes over from the headers that a filter passes: they belong to a connection, or
// Envoy sets them.
var notForReplies = map[string]bool{
	"connection": true, "content-length": true, "host": true, "keep-alive": true, "proxy-connection": true,
	"te": true, "trailer": true, "transfer-encoding": true, "upgrade": true,
}

// credentials are fields of a request that nobody gets back.
var credentials = []string{"authorization", "cookie", "proxy-authorization"}

// replyFields returns the fields of a reply for which a filter has passed headers. Many filters pass the request's own, and
// MOSN then sends all of them back to the client, with Cookie and Authorization. Here a request's headers count for what
// the filter has set in them.
func (st *stream) replyFields(headers api.HeaderMap) *fields {
	out := new(fields)
	if isNil(headers) {
		return out
	}
	var from []field
	switch m := headers.(type) {
	case *block:
		if m == st.request.block {
			from = m.own().list
			break
		}
		m.Range(func(key, value string) bool {
			from = append(from, field{key, value, false})
			return true
		})
	case *fields:
		from = m.list
	default:
		headers.Range(func(key, value string) bool {
			from = append(from, field{key, value, st.isCredential(key, value)})
			return true
		})
	}
	for _, f := range from {
		if !f.inherited && f.value != "" && !strings.HasPrefix(f.name, ":") && !notForReplies[strings.ToLower(f.name)] {
			out.Add(f.name, f.value)
		}
	}
	return out
}

// isCredential reports whether a field is a credential that the request has.
func (st *stream) isCredential(key, value string) bool {
	for _, c := range credentials {
		if strings.EqualFold(key, c) {
			return st.s.RequestHeaders().Get(c) == value
		}
	}
	return false
}

// respond keeps r as the filter's answer, in place of an earlier one.
func (st *stream) respond(method string, r *reply) {
	if r.status != 0 {
		st.info.SetResponseCode(r.status)
		_ = variable.SetString(st.ctx, varStatus, strconv.Itoa(r.status))
	}
	st.mu.Lock()
	inTime := st.running && (st.stage == receiving || st.stage == sending)
	if inTime {
		st.reply = r
	}
	st.mu.Unlock()
	if !inTime {
		st.misuse(method, "the phase in which it could answer is over")
	}
}

// status returns the status of the response by MOSN's variable, or 0.
func (st *stream) status() int {
	v, err := variable.GetString(st.ctx, varStatus)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(v)
	return n
}

// answer ends the request with r, which the filters of the response see first, as in MOSN.
func (st *stream) answer(r *reply) filter.Action {
	if r.direct {
		return r.action(st)
	}
	st.mu.Lock()
	if st.stage == receiving {
		st.stage = sending
	}
	st.mu.Unlock()
	st.response.headers, st.response.data, st.response.trailers = r.fields, r.body, nil
	_ = variable.SetString(st.ctx, varDirectResponse, "true")
	if st.runSenders() == api.StreamFiltertermination {
		return filter.Reset("a MOSN filter has terminated the stream")
	}
	if again := st.takeReply(); again != nil {
		return again.action(st)
	}
	r.fields, r.body = st.replyFieldsOf(st.response.headers), st.response.data
	return r.action(st)
}

// replyFieldsOf returns the headers of a reply as the filters of the response have left or set them.
func (st *stream) replyFieldsOf(h api.HeaderMap) *fields {
	if f, ours := h.(*fields); ours {
		return f
	}
	return st.replyFields(h)
}

// action returns what has the framework send r.
func (r *reply) action(st *stream) filter.Action {
	status := r.status
	if now := st.status(); now != 0 {
		status = now
	}
	if status == 0 {
		status = 200
	}
	st.info.SetResponseCode(status)
	var body []byte
	if !isNil(r.body) {
		body = append(body, r.body.Bytes()...)
	}
	opts := make([]filter.ReplyOption, len(r.fields.list))
	for i, f := range r.fields.list {
		opts[i] = filter.WithHeader(f.name, f.value)
	}
	return filter.Reply(status, body, opts...)
}

// terminate answers a request at any time before its response has begun: see api's TerminateStream.
func (st *stream) terminate(code int) bool {
	answered := st.answeredUnseen()
	st.mu.Lock()
	// Only now, since the filters of the response may have run meanwhile.
	answered = answered || st.info.hasResponse()
	if st.stage == over || st.stage == sending || answered || st.info.terminated {
		st.mu.Unlock()
		return false
	}
	st.info.terminated = true
	r := &reply{status: code, fields: new(fields)}
	running := st.stage == receiving
	if running {
		st.reply = r
	}
	st.mu.Unlock()
	st.info.SetResponseFlag(api.DownStreamTerminate)
	if !running {
		st.later(func() filter.Action { return filter.Reply(code, "") })
	}
	return true
}

// answeredUnseen reports whether a response has begun for which no filter is called, by asking Envoy.
func (st *stream) answeredUnseen() bool {
	return !st.plugin.shared.shape.sends && st.number(attrResponseCode) != 0
}

// stringBuffer returns a buffer with text.
func stringBuffer(text string) api.IoBuffer { return buffer.NewIoBufferString(text) }
