package waf

import (
	"context"
	"net/netip"
	"strconv"
	"sync"

	"github.com/corazawaf/coraza/v3/types"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/guard"
	"mosn.io/moe/plugins/internal/wholebody"
)

// stream is the inspection of one request and its response. Rules take milliseconds, so that they run on goroutines; mu is
// held by the one that uses the transaction.
type stream struct {
	p *WAF

	mu       sync.Mutex
	tx       types.Transaction // nil before the headers have come, and when the stream is over
	protocol string
	over     bool // the stream is
	report   report
}

func (p *WAF) newStream(filter.Stream) *stream { return &stream{p: p} }

// The directions, as metrics have them.
const (
	ofRequest  = "request"
	ofResponse = "response"
)

// step is a part of an inspection. It returns why the stream should end, or how it goes on.
type step func() (*types.Interruption, filter.Action, error)

// inspect runs f on a goroutine and makes an action of what it returns.
func (st *stream) inspect(s filter.Stream, direction string, f step) filter.Action {
	return filter.Go(func(context.Context) filter.Action {
		st.mu.Lock()
		defer st.mu.Unlock()
		if st.over {
			return filter.Continue
		}
		var it *types.Interruption
		var next filter.Action
		err := guard.Do(func() (err error) {
			it, next, err = f()
			return err
		})
		if err != nil {
			return st.fail(s, err)
		}
		if st.tx == nil {
			return next
		}
		return st.conclude(s, direction, it, next)
	})
}

// fail ends an inspection that has gone wrong. Nobody knows in which state the transaction is, so that it is not used again.
func (st *stream) fail(s filter.Stream, err error) filter.Action {
	st.tx = nil
	st.p.counts.failed.Inc()
	if p, ok := err.(*guard.Panic); ok { //nolint:errorlint // guard.Do wraps nothing
		s.Log().Error("the inspection panics", "value", p.Value, "stack", p.Stack)
	} else {
		s.Log().Error("the inspection fails", "error", err)
	}
	if st.p.FailOpen || st.p.Shadow {
		return filter.Continue
	}
	return st.p.failed
}

// connection is what only the stream's own thread can ask for without waiting.
type connection struct {
	client, server netip.AddrPort
	request        string // id
}

// OnRequestHeaders inspects the headers. A body that is to be inspected is waited for, and the headers with it.
func (st *stream) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, endStream bool) filter.Action {
	st.protocol, _ = s.Attr(filter.AttrProtocol)
	c := connection{client: s.RemoteAddr()}
	if text, err := s.Attr(filter.AttrDestinationAddress); err == nil {
		c.server, _ = netip.ParseAddrPort(text)
	}
	c.request, _ = s.Attr(filter.AttrRequestID)
	whole := st.p.Response.Inspect == "body"
	return st.inspect(s, ofRequest, func() (*types.Interruption, filter.Action, error) {
		it, next, err := st.requestHeaders(h, c, endStream)
		if whole { // rules have seen what the client asks for
			wholebody.Ask(h)
		}
		return it, next, err
	})
}

func (st *stream) requestHeaders(
	h filter.RequestHeaders, c connection, endStream bool,
) (it *types.Interruption, next filter.Action, err error) {
	p := st.p
	tx := p.engine.Load().begin(c.request)
	st.tx = tx
	tx.ProcessConnection(text(c.client.Addr()), int(c.client.Port()), text(c.server.Addr()), int(c.server.Port()))
	uri := h.Path()
	if uri == "" { // of a CONNECT
		uri = h.Host()
	}
	tx.ProcessURI(uri, h.Method(), st.protocol)
	for name, value := range h.All() {
		if name != "" && name[0] != ':' {
			tx.AddRequestHeader(name, value)
		}
	}
	if h.Has(":authority") {
		tx.AddRequestHeader("Host", h.Host())
		tx.SetServerName(h.Host())
	}
	if it := tx.ProcessRequestHeaders(); it != nil || tx.IsRuleEngineOff() {
		return it, filter.Continue, nil
	}
	if endStream || !tx.IsRequestBodyAccessible() {
		it, err := tx.ProcessRequestBody()
		return it, filter.Continue, err
	}
	limit := int(p.RequestBody.Limit)
	if p.partialRequests() {
		return nil, filter.WaitPrefix(limit), nil
	}
	if n, err := strconv.ParseUint(h.Get("content-length"), 10, 64); err == nil && n > uint64(limit) {
		return nil, st.refuseLong(), nil
	}
	return nil, filter.WaitPrefix(limit + 1), nil
}

// text is an address as rules see it, empty where there is none.
func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// refuseLong refuses a body that is over the limit.
func (st *stream) refuseLong() filter.Action {
	st.p.counts.cut.Inc()
	st.p.counts.blocked.With(ofRequest).Inc()
	return st.p.tooLarge
}

// OnRequest inspects the body, as much of it as the limit allows.
func (st *stream) OnRequest(s filter.Stream, _ filter.RequestHeaders, b filter.Body) filter.Action {
	return st.inspect(s, ofRequest, func() (*types.Interruption, filter.Action, error) {
		tx, p, data := st.tx, st.p, b.Bytes()
		if tx == nil {
			return nil, filter.Continue, nil
		}
		if int64(len(data)) > int64(p.RequestBody.Limit) || !b.Complete() {
			if !p.partialRequests() {
				return nil, st.refuseLong(), nil
			}
			p.counts.cut.Inc()
		}
		if it, _, err := tx.WriteRequestBody(data); it != nil || err != nil {
			return it, filter.Continue, err
		}
		it, err := tx.ProcessRequestBody()
		return it, filter.Continue, err
	})
}

// OnResponseHeaders inspects the headers. A body that is to be inspected is waited for.
func (st *stream) OnResponseHeaders(s filter.Stream, h filter.ResponseHeaders, endStream bool) filter.Action {
	return st.inspect(s, ofResponse, func() (*types.Interruption, filter.Action, error) {
		tx := st.tx
		if tx == nil || tx.IsRuleEngineOff() {
			return nil, filter.Continue, nil
		}
		for name, value := range h.All() {
			if name != "" && name[0] != ':' {
				tx.AddResponseHeader(name, value)
			}
		}
		if it := tx.ProcessResponseHeaders(h.Status(), st.protocol); it != nil {
			return it, filter.Continue, nil
		}
		if endStream || !tx.IsResponseBodyAccessible() || !tx.IsResponseBodyProcessable() {
			it, err := tx.ProcessResponseBody()
			return it, filter.Continue, err
		}
		limit := int(st.p.Response.Limit)
		if !st.p.partialResponses() {
			limit++
		}
		return nil, filter.WaitPrefix(limit), nil
	})
}

// OnResponse inspects the body, as much of it as the limit allows.
func (st *stream) OnResponse(s filter.Stream, _ filter.ResponseHeaders, b filter.Body) filter.Action {
	return st.inspect(s, ofResponse, func() (*types.Interruption, filter.Action, error) {
		tx, data := st.tx, b.Bytes()
		if tx == nil {
			return nil, filter.Continue, nil
		}
		if int64(len(data)) > int64(st.p.Response.Limit) || !b.Complete() {
			st.p.counts.cut.Inc()
		}
		if it, _, err := tx.WriteResponseBody(data); it != nil || err != nil {
			return it, filter.Continue, err
		}
		it, err := tx.ProcessResponseBody()
		return it, filter.Continue, err
	})
}

// OnComplete runs the rules that only take notes, on a goroutine, and ends the transaction.
func (st *stream) OnComplete(s filter.Stream) {
	var r *record
	if st.p.Audit != nil {
		r = st.p.Audit.begin(s)
	}
	if !st.p.env.Go(func(context.Context) { st.finish(r) }) {
		st.finish(r)
	}
}

// finish ends the transaction, and writes r, which is nil without an audit.
func (st *stream) finish(r *record) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.over = true
	if st.tx == nil {
		return
	}
	err := guard.Do(func() error {
		st.tx.ProcessLogging()
		st.take()
		if r != nil {
			st.write(r)
		}
		return st.tx.Close()
	})
	if err != nil {
		st.p.env.Log().Error("the inspection does not end well", "request", st.tx.ID(), "error", err)
	}
	st.tx = nil
	st.p.counts.inspected.Inc()
}
