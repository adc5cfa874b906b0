package script

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"github.com/dop251/goja"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/fieldname"
	"mosn.io/moe/plugins/internal/guard"
	"mosn.io/moe/plugins/internal/wholebody"
)

// stream is the script's run for one request and its response. Its functions are called on goroutines.
type stream struct {
	p *Script

	mu      sync.Mutex
	m       *machine
	request *goja.Object // what onRequest has got
	client  netip.AddrPort
}

func (p *Script) newStream(filter.Stream) *stream { return &stream{p: p} }

// The directions, as metrics have them.
const (
	ofRequest  = "request"
	ofResponse = "response"
)

// call runs f, which calls a function of the script, on a goroutine.
func (st *stream) call(s filter.Stream, direction string, f func(m *machine) (filter.Action, error)) filter.Action {
	return filter.Go(func(context.Context) filter.Action {
		st.mu.Lock()
		defer st.mu.Unlock()
		p, next := st.p, filter.Continue
		p.counts.called.With(direction).Inc()
		err := guard.Do(func() (err error) {
			if st.m == nil {
				if st.m, err = p.newMachine(); err != nil {
					return err
				}
				if err := st.m.Set("log", func(text string) { s.Log().Info("script", "says", text) }); err != nil {
					return err
				}
			}
			return st.m.within(func() (err error) { // properties may be functions, too
				next, err = f(st.m)
				return err
			})
		})
		if err == nil {
			return next
		}
		p.counts.failed.With(direction).Inc()
		s.Log().Warn("the script fails", "direction", direction, "error", err)
		if p.OnError == "pass" {
			return filter.Continue
		}
		return p.failed
	})
}

// OnRequestHeaders calls onRequest, or waits for the body first.
func (st *stream) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, endStream bool) filter.Action {
	p := st.p
	st.client = s.RemoteAddr()
	if p.onResponse && p.ResponseBody {
		wholebody.Ask(h)
	}
	if !p.onRequest {
		return filter.Continue
	}
	if !p.RequestBody || endStream || h.Upgrade() != "" {
		return st.call(s, ofRequest, func(m *machine) (filter.Action, error) { return st.onRequest(s, m, h, filter.Body{}, nil) })
	}
	if p.long(h.Headers) {
		return filter.Reply(413, "the body is too long", p.details)
	}
	return filter.WaitPrefix(int(p.MaxBody) + 1)
}

// long reports whether the headers say that the body is longer than scripts may see.
func (p *Script) long(h filter.Headers) bool {
	n, err := strconv.ParseInt(h.Get("content-length"), 10, 64)
	return err == nil && n > int64(p.MaxBody)
}

// OnRequest calls onRequest with the body.
func (st *stream) OnRequest(s filter.Stream, h filter.RequestHeaders, b filter.Body) filter.Action {
	data := b.Bytes()
	if !b.Complete() || len(data) > int(st.p.MaxBody) {
		return filter.Reply(413, "the body is too long", st.p.details)
	}
	return st.call(s, ofRequest, func(m *machine) (filter.Action, error) { return st.onRequest(s, m, h, b, data) })
}

func (st *stream) requestObject(s filter.Stream, m *machine, h filter.RequestHeaders, data []byte) *goja.Object {
	o := m.object(map[string]any{
		"method": h.Method(), "path": h.Path(), "host": h.Host(), "headers": m.headers(h.Headers), "body": body(data),
	})
	if st.client.IsValid() {
		_ = o.Set("address", st.client.Addr().String()) // an ordinary object takes it
	}
	if c := s.Consumer(); c != nil {
		_ = o.Set("consumer", c.Name) // an ordinary object takes it
	}
	return o
}

func (st *stream) onRequest(s filter.Stream, m *machine, h filter.RequestHeaders, b filter.Body, data []byte) (filter.Action, error) {
	o := st.requestObject(s, m, h, data)
	st.request = o
	reply, err := st.p.run(m, "onRequest", o)
	if err != nil || reply != nil {
		return replied(reply), err
	}
	if method, ok := text(o, "method"); ok && method != h.Method() {
		if method == "" || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return filter.Continue, errors.New("request.method is not a method")
		}
		h.SetMethod(method)
	}
	if path, ok := text(o, "path"); ok && path != h.Path() {
		if path == "" || path[0] != '/' || strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' }) {
			return filter.Continue, errors.New("request.path is not a path")
		}
		h.SetPath(path)
	}
	return filter.Continue, st.p.setBody(o, b, data)
}

// setBody puts back a body that the script has changed.
func (p *Script) setBody(o *goja.Object, b filter.Body, data []byte) error {
	if data == nil {
		return nil
	}
	changed, ok := text(o, "body")
	if !ok || changed == string(data) {
		return nil
	}
	if len(changed) > int(p.MaxBody) {
		return errors.New("the body is longer than maxBody")
	}
	b.Set([]byte(changed))
	return nil
}

// OnResponseHeaders calls onResponse, or waits for the body first.
func (st *stream) OnResponseHeaders(s filter.Stream, h filter.ResponseHeaders, endStream bool) filter.Action {
	p := st.p
	if !p.onResponse || h.Status() < 200 {
		return filter.Continue
	}
	if !p.ResponseBody || endStream {
		return st.call(s, ofResponse, func(m *machine) (filter.Action, error) { return st.onResponse(s, m, h, filter.Body{}, nil) })
	}
	if p.long(h.Headers) {
		return p.failed
	}
	return filter.WaitPrefix(int(p.MaxBody) + 1)
}

// OnResponse calls onResponse with the body.
func (st *stream) OnResponse(s filter.Stream, h filter.ResponseHeaders, b filter.Body) filter.Action {
	data := b.Bytes()
	if !b.Complete() || len(data) > int(st.p.MaxBody) {
		return st.p.failed
	}
	return st.call(s, ofResponse, func(m *machine) (filter.Action, error) { return st.onResponse(s, m, h, b, data) })
}

func (st *stream) onResponse(s filter.Stream, m *machine, h filter.ResponseHeaders, b filter.Body, data []byte) (filter.Action, error) {
	if st.request == nil {
		st.request = st.requestObject(s, m, s.RequestHeaders(), nil)
	}
	_ = st.request.Delete("headers") // the request has gone on, and can be changed no more
	o := m.object(map[string]any{"status": h.Status(), "headers": m.headers(h.Headers), "body": body(data)})
	reply, err := st.p.run(m, "onResponse", o, st.request)
	if err != nil || reply != nil {
		return replied(reply), err
	}
	if status := int(o.Get("status").ToInteger()); status != h.Status() {
		if status < 200 || status > 599 {
			return filter.Continue, errors.New("response.status is not between 200 and 599")
		}
		h.SetStatus(status)
	}
	return filter.Continue, st.p.setBody(o, b, data)
}

// run calls a function of the script. What it returns, unless that is undefined or null, is a reply.
func (p *Script) run(m *machine, function string, args ...goja.Value) (*filter.Action, error) {
	v, err := m.function(function)(goja.Undefined(), args...)
	if err != nil || v == nil || goja.IsUndefined(v) || goja.IsNull(v) {
		return nil, err
	}
	return p.reply(m, v)
}

var errReply = errors.New("what the script returns is not a reply")

// reply is that of {status, headers, body}.
func (p *Script) reply(m *machine, v goja.Value) (*filter.Action, error) {
	o, ok := v.(*goja.Object)
	if !ok || o.Get("status") == nil {
		return nil, errReply
	}
	status := int(o.Get("status").ToInteger())
	if status < 200 || status > 599 {
		return nil, errReply
	}
	options := []filter.ReplyOption{p.details}
	if headers, ok := o.Get("headers").(*goja.Object); ok {
		for _, name := range headers.Keys() {
			value := headers.Get(name).String()
			if fieldname.Check(name) != nil || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return nil, errReply
			}
			options = append(options, filter.WithHeader(name, value))
		}
	}
	body, _ := text(o, "body")
	if len(body) > int(p.MaxBody) {
		return nil, errReply
	}
	a := filter.Reply(status, body, options...)
	return &a, nil
}

func replied(a *filter.Action) filter.Action {
	if a == nil {
		return filter.Continue
	}
	return *a
}
