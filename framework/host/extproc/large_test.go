package extproc

import (
	"bytes"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

// piece is how much of a large body comes at once.
const piece = 64 << 10

// peak returns by how much the heap has grown at most while f ran.
func peak(f func()) int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before := m.HeapAlloc
	var most atomic.Uint64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most.Store(max(most.Load(), m.HeapAlloc))
			}
		}
	}()
	func() {
		defer close(stop)
		f()
	}()
	<-stopped
	return int64(most.Load()) - int64(before)
}

// fits is how much the heap of client and server may grow together while that passes.
const fits = 48 << 20

// sendLarge sends a body, and returns how much of it could be sent.
func (w *wire) sendLarge(size int) (sent int) {
	p := bytes.Repeat([]byte("x"), piece)
	for sent < size {
		sent += piece
		m := requestBody("", sent == size)
		m.GetRequestBody().Body = p
		if w.Send(m) != nil {
			return sent - piece
		}
	}
	return sent
}

func TestLargeBodyStreams(t *testing.T) {
	s := newServer(t, Options{}, "upper")
	conn := listen(t, s)
	got := 0
	grown := peak(func() {
		w := dial(t, conn, duplex)
		if w.ask(requestHeaders(false)).GetRequestHeaders() == nil {
			t.Fatal("no answer to the headers")
		}
		go w.sendLarge(large)
		for end := false; !end; {
			r, err := w.Recv()
			if err != nil {
				t.Fatalf("w.Recv: %v", err)
			}
			b := r.GetRequestBody().GetResponse().GetBodyMutation().GetStreamedResponse()
			if bytes.Count(b.GetBody(), []byte("X")) != len(b.GetBody()) {
				t.Fatal("the body is changed otherwise than by the plugin")
			}
			got, end = got+len(b.GetBody()), b.GetEndOfStream()
		}
		w.CloseSend()
		if st := w.ended(); st.Code() != codes.OK {
			t.Errorf("the stream ends with %v", st)
		}
	})
	if got != large {
		t.Errorf("%d bytes come back", got)
	}
	if grown > fits && !raceEnabled {
		t.Errorf("the heap grows by %d MiB", grown>>20)
	}
	t.Logf("the heap grows by %d MiB", grown>>20)
	s.empty(t)
}

// A plugin that waits for the whole gets no more than the limit; the client learns it at once.
func TestLargeBodyHeld(t *testing.T) {
	s := newServer(t, Options{}, "whole")
	conn := listen(t, s)
	grown := peak(func() {
		w := dial(t, conn, duplex)
		w.send(requestHeaders(false))
		sent := make(chan int, 1)
		go func() { sent <- w.sendLarge(100 << 20) }()
		r, err := w.Recv()
		if err != nil || r.GetImmediateResponse().GetStatus().GetCode() != 413 {
			t.Fatalf("got %v %v", r, err)
		}
		if st := w.ended(); st.Code() != codes.OK {
			t.Errorf("the stream ends with %v", st)
		}
		if n := <-sent; n > 50<<20 {
			t.Errorf("the client could send %d bytes", n)
		}
	})
	if grown > fits && !raceEnabled {
		t.Errorf("the heap grows by %d MiB", grown>>20)
	}
	s.empty(t)
}

// One message of 100 MiB is refused, and not read.
func TestLargeMessage(t *testing.T) {
	s := newServer(t, Options{}, "upper")
	conn := listen(t, s)
	w := dial(t, conn, duplex)
	w.send(requestHeaders(false))
	m := requestBody("", true)
	m.GetRequestBody().Body = make([]byte, 100<<20)
	go w.Send(m)
	if st := w.ended(); st.Code() != codes.ResourceExhausted || !strings.Contains(st.Message(), "larger than max") {
		t.Errorf("got %v", st)
	}
	serves(t, conn)
	s.empty(t)
}

// A plugin that keeps a chunk, and a client that reads no answers, stop the client: nothing piles up in the server.
func TestLargeBodyStops(t *testing.T) {
	wait := make(chan struct{})
	gate.Store(&wait)
	for _, plugin := range []string{"upper", "async"} {
		t.Run(plugin, func(t *testing.T) {
			s := newServer(t, Options{}, plugin)
			conn := listen(t, s)
			grown := peak(func() {
				w := dial(t, conn, duplex)
				w.send(requestHeaders(false))
				sent := make(chan int, 1)
				go func() { sent <- w.sendLarge(100 << 20) }()
				select {
				case n := <-sent:
					t.Errorf("the client can send %d bytes that nobody takes", n)
				case <-time.After(time.Second):
				}
				w.cancel()
				<-sent
			})
			if grown > fits && !raceEnabled {
				t.Errorf("the heap grows by %d MiB, want at most %d", grown>>20, fits>>20)
			}
			s.empty(t)
		})
	}
}
