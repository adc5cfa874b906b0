package probes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"mosn.io/moe/e2e/upstream"
	"mosn.io/moe/framework/filter"
)

// op is a command: do returns an action and whether the script ends with it.
type op struct {
	min int // how many words it needs
	do  func(r *run, a []string) (filter.Action, bool)
}

// step makes a command that goes on, final one that ends the script.
func step(min int, f func(r *run, a []string)) op {
	return op{min, func(r *run, a []string) (filter.Action, bool) { f(r, a); return filter.Continue, false }}
}

func final(min int, f func(r *run, a []string) filter.Action) op {
	return op{min, func(r *run, a []string) (filter.Action, bool) { return f(r, a), true }}
}

// try is a step that may fail; ${last} is "ok" or the error.
func try(min int, f func(r *run, a []string) error) op {
	return step(min, func(r *run, a []string) {
		r.last = "ok"
		if err := f(r, a); err != nil {
			r.last = "error: " + err.Error()
		}
	})
}

var ops map[string]op

func init() {
	ops = map[string]op{
		"go":     step(0, nil), // the rest of the script runs inside filter.Go; see exec
		"note":   step(1, func(r *run, a []string) { traceOf(r.s).add(strings.Join(a, " ")) }),
		"if":     {2, condition(true)}, // if VALUE OTHER: go on only where they are equal
		"unless": {2, condition(false)},

		// This phase's block and body.
		"set":    step(1, func(r *run, a []string) { r.block.Set(a[0], rest(a)) }),
		"add":    step(1, func(r *run, a []string) { r.block.Add(a[0], rest(a)) }),
		"del":    step(1, func(r *run, a []string) { r.block.Del(a[0]) }),
		"setreq": step(1, func(r *run, a []string) { r.s.RequestHeaders().Set(a[0], rest(a)) }), // too late: refused
		"body":   step(1, changeBody),

		// Waiting. Only inside go.
		"sleep": step(1, func(r *run, a []string) {
			d, _ := time.ParseDuration(a[0])
			select {
			case <-time.After(d):
			case <-r.ctx.Done():
			}
		}),
		"jam": step(1, func(_ *run, a []string) { // outside of go: nothing else happens on Envoy's thread
			d, _ := time.ParseDuration(a[0])
			time.Sleep(d)
		}),
		"wait": step(0, func(r *run, _ []string) { // until the stream ends, as a plugin that never resumes
			Live.Waiting.Add(1)
			<-r.ctx.Done()
			Live.Waiting.Add(-1)
			Live.Cancelled.Add(1)
		}),
		"gate": step(1, func(r *run, a []string) { // until the test opens it through the control plugin
			Live.Waiting.Add(1)
			defer Live.Waiting.Add(-1)
			select {
			case <-gate(a[0]):
			case <-r.ctx.Done():
				Live.Cancelled.Add(1)
			}
		}),

		// Actions.
		"continue": final(0, func(*run, []string) filter.Action { return filter.Continue }),
		"waitbody": final(0, func(*run, []string) filter.Action { return filter.WaitBody }),
		"prefix": final(1, func(_ *run, a []string) filter.Action {
			return filter.WaitPrefix(number(a[0]))
		}),
		"reply":    final(1, func(_ *run, a []string) filter.Action { return reply(a, plainReply) }),
		"json":     final(2, func(_ *run, a []string) filter.Action { return reply(a, jsonReply) }),
		"reader":   final(2, func(_ *run, a []string) filter.Action { return reply(a, readerReply) }), // STATUS BYTES
		"redirect": final(1, func(_ *run, a []string) filter.Action { return filter.Redirect(a[0]) }),
		"fail":     final(1, func(_ *run, a []string) filter.Action { return filter.Fail(errors.New(rest2(a))) }),
		"failwith": final(1, func(_ *run, a []string) filter.Action { return filter.Fail(badErrors[a[0]]) }),
		"logbad": step(1, func(r *run, a []string) {
			r.s.Log().Info("bad value", "value", badErrors[a[0]], "valuer", badValue{a[0]})
		}),
		"panic": final(1, func(_ *run, a []string) filter.Action { panic(rest2(a)) }),
		"pipe":  final(1, func(r *run, a []string) filter.Action { return filter.Pipe(pipe(r, a)) }),

		// The stream.
		"meta": try(3, func(r *run, a []string) error { return r.s.SetMetadata(a[0], a[1], value(a[2])) }),
		"fs":   try(2, func(r *run, a []string) error { return r.s.SetFilterState(a[0], a[1]) }),
		"clearroute": try(0, func(r *run, _ []string) error {
			return r.s.ClearRouteCache()
		}),
		"upstream": try(2, func(r *run, a []string) error { return r.s.SetUpstreamHost(a[0], a[1] == "strict") }),
		"key":      step(2, func(r *run, a []string) { keyOf(a[0]).Set(r.s, a[1]) }),
		"consumer": step(1, func(r *run, a []string) { r.s.SetConsumer(&filter.Consumer{Name: a[0]}) }),
		"log":      step(2, func(r *run, a []string) { logLine(r, a) }),
		"keep":     step(1, func(r *run, a []string) { kept.Store(a[0], r.s) }), // a handle, to misuse it later
		"stale":    step(1, func(r *run, a []string) { r.last = stale(a[0]) }),
		"race":     step(1, func(r *run, a []string) { race(r, number(a[0])) }),
		"every":    step(2, func(r *run, a []string) { everyMethod(r, a[0], a[1]) }), // METHOD here|away; see methods.go

		// The configuration's surroundings.
		"counter":    step(2, func(r *run, a []string) { r.e.counter.With(a[1]).Add(uint64(number(a[0]))) }),
		"gauge":      step(2, func(r *run, a []string) { r.e.gauge.With(a[1]).Add(int64(number(a[0]))) }),
		"histogram":  step(2, func(r *run, a []string) { r.e.histogram.With(a[1]).Record(uint64(number(a[0]))) }),
		"call":       step(3, call),       // CLUSTER METHOD PATH [BODY [TIMEOUT]]; only inside go
		"background": step(3, background), // as call, from Env.Go; the result goes to the control plugin
	}
}

func condition(equal bool) func(r *run, a []string) (filter.Action, bool) {
	return func(_ *run, a []string) (filter.Action, bool) { return filter.Continue, (a[0] == a[1]) != equal }
}

func rest(a []string) string  { return strings.Join(a[1:], " ") }
func rest2(a []string) string { return strings.Join(a, " ") }

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic("probe: " + err.Error())
	}
	return n
}

// value reads a metadata value: a number, true, false, or text.
func value(s string) any {
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		return n
	}
	if b, err := strconv.ParseBool(s); err == nil {
		return b
	}
	return s
}

func changeBody(r *run, a []string) {
	switch a[0] {
	case "set":
		r.body.Set([]byte(rest(a)))
	case "append":
		io.WriteString(r.body, rest(a))
	case "upper":
		r.body.Set([]byte(strings.ToUpper(string(r.body.Bytes()))))
	case "lower":
		r.body.Set([]byte(strings.ToLower(string(r.body.Bytes()))))
	case "double":
		r.body.Set([]byte(strings.Repeat(string(r.body.Bytes()), 2)))
	case "clear":
		r.body.Set(nil)
	default:
		panic("probe: body " + a[0])
	}
}

// reply reads STATUS BODY [NAME=VALUE…], where NAME is grpc, details, pause or h:HEADER.
func reply(a []string, f func(status int, body string, pause time.Duration, o []filter.ReplyOption) filter.Action) filter.Action {
	status, body := number(a[0]), ""
	if len(a) > 1 {
		body = a[1]
	}
	var opts []filter.ReplyOption
	var pause time.Duration
	for _, o := range a[min(2, len(a)):] {
		name, v, _ := strings.Cut(o, "=")
		switch {
		case name == "grpc":
			opts = append(opts, filter.WithGRPCStatus(number(v)))
		case name == "details":
			opts = append(opts, filter.WithDetails(v))
		case name == "pause":
			pause, _ = time.ParseDuration(v)
		case strings.HasPrefix(name, "h:"):
			opts = append(opts, filter.WithHeader(name[2:], v))
		default:
			panic("probe: reply option " + o)
		}
	}
	return f(status, body, pause, opts)
}

func plainReply(status int, body string, _ time.Duration, o []filter.ReplyOption) filter.Action {
	return filter.Reply(status, body, o...)
}

func jsonReply(status int, body string, _ time.Duration, o []filter.ReplyOption) filter.Action {
	return filter.ReplyJSON(status, map[string]string{"probe": body}, o...)
}

func readerReply(status int, size string, pause time.Duration, o []filter.ReplyOption) filter.Action {
	Live.Readers.Add(1)
	return filter.ReplyReader(status, &replyReader{
		Reader: io.LimitReader(&upstream.Pattern{}, int64(number(size))), pause: pause,
	}, o...)
}

type replyReader struct {
	io.Reader
	pause time.Duration
	once  sync.Once
}

func (r *replyReader) Read(p []byte) (int, error) {
	time.Sleep(r.pause)
	n, err := r.Reader.Read(p)
	Live.Read.Add(int64(n))
	return n, err
}

func (r *replyReader) Close() error {
	r.once.Do(func() { Live.Readers.Add(-1) })
	return nil
}

func logLine(r *run, a []string) {
	var level slog.Level
	level.UnmarshalText([]byte(a[0]))
	ctx := r.ctx
	if ctx == nil {
		ctx = context.Background()
	}
	r.s.Log().Log(ctx, level, rest(a))
}

var (
	kept sync.Map // name → filter.Stream
	keys sync.Map // name → *filter.Key[string]
)

func keyOf(name string) *filter.Key[string] {
	k, _ := keys.LoadOrStore(name, filter.NewKey[string](name))
	return k.(*filter.Key[string])
}

// stale uses a handle whose stream is gone in every possible way.
func stale(name string) string {
	v, ok := kept.Load(name)
	if !ok {
		return "nothing kept"
	}
	s := v.(filter.Stream)
	s.RequestHeaders().Set("x-stale", "1")
	s.ResponseHeaders().Set("x-stale", "1")
	_, aerr := s.Attr(filter.AttrRequestID)
	_, merr := s.Metadata("a", "b")
	_, serr := s.Secret("a")
	for _, err := range []error{
		aerr, merr, serr, s.SetMetadata("stale", "a", "b"), s.SetFilterState("a", "b"),
		s.ClearRouteCache(), s.SetUpstreamHost("127.0.0.1:1", true),
	} {
		if !errors.Is(err, filter.ErrStreamDone) {
			return fmt.Sprintf("got %v, want ErrStreamDone", err)
		}
	}
	if s.Context().Err() == nil || s.RequestHeaders().Path() != "" || s.Consumer() != nil {
		return "a stale stream still has a life"
	}
	return "done"
}

// race uses the stream from n goroutines at once, which may still do so when the phase has ended.
func race(r *run, n int) {
	for i := range n {
		Live.Goroutines.Add(1)
		go func() {
			defer Live.Goroutines.Add(-1)
			for j := range 20 {
				r.s.RequestHeaders().Get("x-id")
				r.s.ResponseHeaders().Status()
				r.s.Attr(filter.AttrRequestID)
				r.s.Secret("first")
				r.s.SetMetadata("race", strconv.Itoa(i), j)
				r.s.Context().Err()
				for range r.s.RequestHeaders().All() {
				}
			}
		}()
	}
}
