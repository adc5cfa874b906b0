package golang_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/host/golang"
	"mosn.io/moe/framework/host/golang/internal/fakeenvoy"
)

// later decides on a goroutine, while others use the stream.
type later struct {
	Reply bool `json:"reply"`
	Wait  bool `json:"wait"`
}

func init() { filter.Register[later]("fakelater", filter.Transform) }

var running atomic.Int64

func (p *later) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	for range 2 {
		running.Add(1)
		go func() {
			defer running.Add(-1)
			s.SetMetadata("a", "b", 1)
			s.Attr("request.path")
			s.RequestHeaders().Get("x-in")
		}()
	}
	return filter.Go(func(ctx context.Context) filter.Action {
		if p.Wait {
			<-ctx.Done()
		}
		if p.Reply {
			return filter.Reply(403, "no")
		}
		h.Set("x-out", h.Get("x-in"))
		return filter.Continue
	})
}

func wire(t *testing.T, doc string) []byte {
	t.Helper()
	a, err := anypb.New(wrapperspb.String(doc))
	if err != nil {
		t.Fatalf("anypb.New: %v", err)
	}
	raw, err := proto.Marshal(a)
	if err != nil {
		t.Fatalf("proto.Marshal: %v", err)
	}
	return raw
}

func configure(t *testing.T, plugin, doc string) uint64 {
	t.Helper()
	id, err := fakeenvoy.Configure(plugin, wire(t, doc))
	if err != nil {
		t.Fatalf("fakeenvoy.Configure: %v", err)
	}
	return id
}

// released waits until nothing is left of what a test has made.
func released(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		streams, configurations := golang.Live()
		n := running.Load()
		if streams == 0 && configurations == 0 && n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d streams, %d configurations and %d goroutines are left", streams, configurations, n)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Goroutines use streams while these decide, go on, are answered and end; nothing is left.
func TestStreams(t *testing.T) {
	for doc, want := range map[string]fakeenvoy.Outcome{
		"{}":            {Status: 2, Set: 1},
		"{reply: true}": {Status: 1, Reply: 403},
		"{wait: true}":  {},
	} {
		t.Run(doc, func(t *testing.T) {
			id := configure(t, "fakelater", doc)
			patience := 30 * time.Second
			if want.Status == 0 {
				patience = time.Millisecond // and the stream ends in the midst of it
			}
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					for range 50 {
						if got := fakeenvoy.Stream(id, patience); got != want {
							t.Errorf("%s: got %+v, want %+v", doc, got, want)
							return
						}
					}
				})
			}
			wg.Wait()
			fakeenvoy.Forget(id)
		})
	}
	released(t)
}

// Envoy may destroy a stream while it does what an event of the stream has asked for. Its place serves later streams as
// any other.
func TestDestroyedWithinAnEvent(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	replies, waits := configure(t, "fakelater", "{reply: true}"), configure(t, "fakelater", "{}")
	for i := range 50 {
		if got := fakeenvoy.BriefStream(replies, 30*time.Second); got.Reply != 403 {
			t.Fatalf("brief stream %d: got %+v, want a reply of 403", i, got)
		}
		if got, want := fakeenvoy.Stream(waits, 30*time.Second), (fakeenvoy.Outcome{Status: 2, Set: 1}); got != want {
			t.Fatalf("stream %d after a brief one: got %+v, want %+v", i, got, want)
		}
	}
	fakeenvoy.Forget(replies)
	fakeenvoy.Forget(waits)
	released(t)
}
