package mosn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"mosn.io/api"
	"mosn.io/moe/framework/internal/guard"
	"mosn.io/moe/framework/internal/refs"
)

// factories are made of one list of filters and shared by all configurations that have the same list.
type factories struct {
	key    string
	refs   refs.Count
	list   []typedFactory
	body   Body // what the filters read
	shape  shape
	blocks bool // a filter may block
	health hostHealth
}

// typedFactory makes the filters of one entry of the list.
type typedFactory struct {
	typ string
	api.StreamFilterChainFactory
}

// shape is what filters a stream gets, as far as the factories show it before there is a stream.
type shape struct{ receives, sends, logs bool }

var made = struct {
	sync.Mutex
	m map[string]*factories
}{m: map[string]*factories{}}

// acquireFactories returns the factories of a list, which the caller releases.
func acquireFactories(list []StreamFilter) (*factories, error) {
	text, err := json.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("stream_filters: cannot be written as JSON, as MOSN's filters need it: %w", err)
	}
	made.Lock()
	defer made.Unlock()
	if f := made.m[string(text)]; f != nil && f.refs.Acquire() {
		return f, nil
	}
	f := &factories{key: string(text)}
	var errs []error
	var bodies [2]bool
	for i, entry := range list {
		factory, err := streamFilters.create(entry.Type, entry.Config)
		if err != nil {
			errs = append(errs, fmt.Errorf("stream_filters[%d]%w", i, err))
			continue
		}
		s, err := probe(entry.Type, factory)
		if err != nil {
			errs = append(errs, fmt.Errorf("stream_filters[%d]: %s: %w", i, entry.Type, err))
			continue
		}
		f.list = append(f.list, typedFactory{entry.Type, factory})
		declared := declarationOf(entry.Type)
		if entry.Blocking == nil && !declared.neverBlocks || entry.Blocking != nil && *entry.Blocking {
			f.blocks = true
		}
		body := declared.body
		bodies[0] = bodies[0] || (body == "" && s.receives) || body.request()
		bodies[1] = bodies[1] || (body == "" && s.sends) || body.response()
		f.shape = shape{f.shape.receives || s.receives, f.shape.sends || s.sends, f.shape.logs || s.logs}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	f.body = map[[2]bool]Body{
		{}: BodyNone, {true, false}: BodyRequest, {false, true}: BodyResponse, {true, true}: BodyBoth,
	}[bodies]
	made.m[f.key] = f
	return f, nil
}

// release drops a reference. MOSN's factories have no end of their own, so the last one forgets them.
func (f *factories) release() {
	if f == nil || !f.refs.Release() {
		return
	}
	made.Lock()
	defer made.Unlock()
	if made.m[f.key] == f {
		delete(made.m, f.key)
	}
}

// probe makes the filters of a stream that does not exist, to see which phases they take part in. A factory that cannot
// do without a stream panics, and may add anything later; one that cannot do with its configuration panics for every stream. One that adds nothing has found its configuration wrong too late to say so,
// as MOSN's jwt_authn does: requests would pass unchecked.
func probe(typ string, f api.StreamFilterChainFactory) (s shape, err error) {
	var c collected
	defer func() {
		if v := recover(); v != nil {
			s, err = shape{receives: true, sends: true, logs: true}, nil
			text, _ := guard.Text(v)
			output.Load().Warn("the factory of a MOSN filter panics when it makes filters without a stream; if it needs none, "+
				"its configuration is at fault, and requests will be answered with 500", "type", typ, "panic", text)
		}
	}()
	f.CreateFilterChain(newContext(context.Background()), &c)
	for _, r := range c.receivers {
		r.filter.OnDestroy()
	}
	for _, s := range c.senders {
		s.filter.OnDestroy()
	}
	s = shape{len(c.receivers) > 0, len(c.senders) > 0, len(c.logs) > 0}
	if s == (shape{}) {
		return s, errors.New("the factory adds no filter to a stream; its configuration may be wrong: see the log")
	}
	return s, nil
}

// collected is what factories add for one stream.
type collected struct {
	typ       string // of the factory whose turn it is
	receivers []receiver
	senders   []sender
	logs      []accessLog
}

type receiver struct {
	typ    string
	filter api.StreamReceiverFilter
	phase  api.ReceiverFilterPhase
}

type sender struct {
	typ    string
	filter api.StreamSenderFilter
	phase  api.SenderFilterPhase
}

func (c *collected) AddStreamReceiverFilter(f api.StreamReceiverFilter, p api.ReceiverFilterPhase) {
	c.receivers = append(c.receivers, receiver{c.typ, f, p})
}

func (c *collected) AddStreamSenderFilter(f api.StreamSenderFilter, p api.SenderFilterPhase) {
	c.senders = append(c.senders, sender{c.typ, f, p})
}

type accessLog struct {
	typ string
	api.AccessLog
}

func (c *collected) AddStreamAccessLog(l api.AccessLog) {
	c.logs = append(c.logs, accessLog{c.typ, l})
}
