package transform

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/guard"
	"mosn.io/moe/plugins/internal/wholebody"
)

// stream remembers what becomes of the response.
type stream struct {
	p        *Transform
	response *Response
}

func (p *Transform) newStream(filter.Stream) *stream { return &stream{p: p} }

// The directions, as metrics have them.
const (
	ofRequest  = "request"
	ofResponse = "response"
)

// work calls f, which changes a message, within the budget. Panics are errors.
func (p *Transform) work(s filter.Stream, direction string, w *work, f func() error) filter.Action {
	ctx, cancel := context.WithTimeout(context.Background(), p.Budget)
	defer cancel()
	w.ctx, w.most, w.stream = ctx, int(p.MaxBody), s
	err := guard.Do(f)
	if err == nil {
		p.counts.changed.With(direction).Inc()
		return filter.Continue
	}
	return p.fail(s, direction, err)
}

func (p *Transform) fail(s filter.Stream, direction string, err error) filter.Action {
	p.counts.failed.With(direction).Inc()
	var panicked *guard.Panic
	if errors.As(err, &panicked) {
		s.Log().Error("panic", "value", panicked.Value, "stack", panicked.Stack)
	}
	s.Log().Warn("the message cannot be changed", "direction", direction, "error", err)
	if p.OnError == "pass" {
		return filter.Continue
	}
	status, text := 400, "the request cannot be processed"
	if direction == ofResponse {
		status, text = 502, "the response cannot be processed"
	}
	return filter.Reply(status, text, filter.WithDetails("moe."+p.name+".error"))
}

// OnRequestHeaders changes the headers, or waits for the body if that is changed, too.
func (st *stream) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, endStream bool) filter.Action {
	r, p := st.p.Request, st.p
	for i := range p.Responses {
		if len(p.Responses[i].Body) > 0 {
			wholebody.Ask(h)
			break
		}
	}
	if r == nil {
		return filter.Continue
	}
	if len(r.Body) == 0 || endStream || h.Upgrade() != "" {
		w := &work{}
		return p.work(s, ofRequest, w, func() error { return r.headers(h, w) })
	}
	return p.wait(s, ofRequest, h.Headers)
}

// wait waits for a body that can be changed.
func (p *Transform) wait(s filter.Stream, direction string, h filter.Headers) filter.Action {
	if e := h.Get("content-encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return p.fail(s, direction, errors.New("the body has a content-encoding"))
	}
	if n, err := strconv.ParseInt(h.Get("content-length"), 10, 64); err == nil && n > int64(p.MaxBody) {
		return p.long(s, direction)
	}
	return filter.WaitPrefix(int(p.MaxBody) + 1)
}

func (p *Transform) long(s filter.Stream, direction string) filter.Action {
	a := p.fail(s, direction, errors.New("the body is longer than maxBody"))
	if direction == ofRequest && p.OnError != "pass" {
		return filter.Reply(413, "the body is too long", filter.WithDetails("moe."+p.name+".error"))
	}
	return a
}

// headers changes all but the body.
func (r *Request) headers(h filter.RequestHeaders, w *work) error {
	method, path := h.Method(), h.Path()
	path, query, has := strings.Cut(path, "?")
	var err error
	if r.method != nil {
		if method, err = r.method.run(w); err != nil {
			return err
		}
		if method == "" || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return errors.New("the template for the method makes none")
		}
	}
	if r.path != nil {
		if path, err = r.path.run(w); err != nil {
			return err
		}
		if path == "" || path[0] != '/' || strings.ContainsAny(path, "?#") || !fieldValue(path) || strings.Contains(path, " ") {
			return errors.New("the template for the path makes none")
		}
		u, err := url.ParseRequestURI(path)
		if err != nil || u.Path == "" {
			return errors.New("the template for the path makes none")
		}
		if dotted(u.Path) {
			return errors.New("the template for the path makes one with dot segments")
		}
	}
	if !r.Query.empty() {
		q := parsePairs(query, "&", false)
		if err := r.Query.apply(q, w); err != nil {
			return err
		}
		query = q.text("&")
		has = query != ""
	}
	cookies := parsePairs(strings.Join(h.Values("cookie"), "; "), ";", true)
	if !r.Cookies.empty() {
		if err := r.Cookies.apply(cookies, w); err != nil {
			return err
		}
		for _, c := range cookies.list {
			if !fieldValue(c.raw) || strings.ContainsAny(c.value, ";,") && cookies.changed {
				return errors.New("a cookie cannot have this value")
			}
		}
	}
	if err := r.Headers.change(h.Headers, w); err != nil {
		return err
	}
	if cookies.changed {
		h.Set("cookie", cookies.text("; "))
	}
	if method != h.Method() {
		h.SetMethod(method)
	}
	if has {
		path += "?" + query
	}
	if path != h.Path() {
		h.SetPath(path)
	}
	return nil
}

// dotted reports whether a decoded path has segments that lead elsewhere, as some server or other reads it: backslashes
// may be slashes, and what follows a semicolon in a segment may not count.
func dotted(path string) bool {
	for segment := range strings.SplitSeq(strings.ReplaceAll(path, "\\", "/"), "/") {
		if segment, _, _ = strings.Cut(segment, ";"); segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// OnRequest changes the request as a whole.
func (st *stream) OnRequest(s filter.Stream, h filter.RequestHeaders, b filter.Body) filter.Action {
	r, p := st.p.Request, st.p
	data := b.Bytes()
	if !b.Complete() || len(data) > int(p.MaxBody) {
		return p.long(s, ofRequest)
	}
	return filter.Go(func(context.Context) filter.Action {
		w := &work{text: data}
		return p.work(s, ofRequest, w, func() error {
			contentType, err := apply(r.Body, w)
			if err != nil {
				return err
			}
			if err := r.headers(h, w); err != nil {
				return err
			}
			finish(h.Headers, b, w, contentType)
			return nil
		})
	})
}

// finish puts the body where it belongs.
func finish(h filter.Headers, b filter.Body, w *work, contentType string) {
	b.Set(w.text)
	if contentType != "" {
		h.Set("content-type", contentType)
	}
}

// OnResponseHeaders changes the headers, or waits for the body if that is changed, too.
func (st *stream) OnResponseHeaders(s filter.Stream, h filter.ResponseHeaders, endStream bool) filter.Action {
	p := st.p
	for i := range p.Responses {
		if p.Responses[i].applies(h.Status()) {
			st.response = &p.Responses[i]
			break
		}
	}
	r := st.response
	if r == nil || h.Status() < 200 {
		return filter.Continue
	}
	if len(r.Body) == 0 || endStream {
		w := &work{status: h.Status()}
		return p.work(s, ofResponse, w, func() error { return r.headers(h, w) })
	}
	return p.wait(s, ofResponse, h.Headers)
}

func (r *Response) headers(h filter.ResponseHeaders, w *work) error {
	if err := r.Headers.change(h.Headers, w); err != nil {
		return err
	}
	if r.Status != 0 {
		h.SetStatus(r.Status)
	}
	return nil
}

// OnResponse changes the response as a whole.
func (st *stream) OnResponse(s filter.Stream, h filter.ResponseHeaders, b filter.Body) filter.Action {
	r, p := st.response, st.p
	data := b.Bytes()
	if !b.Complete() || len(data) > int(p.MaxBody) {
		return p.long(s, ofResponse)
	}
	return filter.Go(func(context.Context) filter.Action {
		w := &work{text: data, status: h.Status()}
		return p.work(s, ofResponse, w, func() error {
			contentType, err := apply(r.Body, w)
			if err != nil {
				return err
			}
			if err := r.headers(h, w); err != nil {
				return err
			}
			finish(h.Headers, b, w, contentType)
			h.Del("etag") // which was of the body before
			return nil
		})
	})
}
