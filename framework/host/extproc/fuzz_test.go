package extproc

import (
	"runtime"
	"testing"
	"time"

	modev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// sequence reads messages from bytes: each byte chooses one, some take bytes of their own.
func sequence(p []byte) (ms []*extprocv3.ProcessingRequest) {
	for len(p) > 0 && len(ms) < 50 {
		op := p[0]
		p = p[1:]
		end := op&16 != 0
		text := ""
		if n := min(int(op>>5), len(p)); n > 0 {
			text, p = string(p[:n]), p[n:]
		}
		switch op & 15 {
		case 0, 1:
			ms = append(ms, requestHeaders(end, "x-deny", text))
		case 2:
			ms = append(ms, requestHeaders(end, text, "\xff\x00"))
		case 3, 4:
			ms = append(ms, responseHeaders(end, text, text))
		case 5, 6, 7:
			ms = append(ms, requestBody(text, end))
		case 8, 9, 10:
			ms = append(ms, responseBody(text, end))
		case 11:
			ms = append(ms, requestTrailers())
		case 12:
			ms = append(ms, responseTrailers())
		case 13:
			ms = append(ms, &extprocv3.ProcessingRequest{})
		case 14:
			m := &extprocv3.ProcessingRequest{}
			if proto.Unmarshal([]byte(text), m) == nil {
				ms = append(ms, m)
			}
		case 15:
			ms = append(ms, &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestHeaders{}})
		}
	}
	return ms
}

// FuzzMessages sends any messages in any order and mode: the stream ends, with OK or InvalidArgument, completes once,
// and leaves nothing behind.
func FuzzMessages(f *testing.F) {
	for mode := byte(0); mode < 6; mode++ {
		f.Add(mode, []byte{0, 37, 'a', 21, 3, 40, 'b', 24})
		f.Add(mode, []byte{16, 19})
		f.Add(mode, []byte{0, 5, 11, 3, 8, 12})
		f.Add(mode, []byte{5, 8, 0, 0, 13})
		f.Add(mode, []byte{3, 0, 200, 'r', 'e', 'q', 'u', 'e', 's', 't', 14, 15, 2})
	}
	wait := make(chan struct{})
	close(wait)
	gate.Store(&wait)
	s := newServer(f, Options{BufferLimit: 64, TotalLimit: 1000, ModeOverride: true},
		"marks", "async", "upper", "denies", "pipes", "whole")
	// Of every stream two plugins count the end, and that of "async".
	const counting = 3
	f.Fuzz(func(t *testing.T, mode byte, p []byte) {
		ms := sequence(p)
		if len(ms) == 0 {
			return
		}
		before := completed.Load()
		e := open(t, s, modev3.ProcessingMode_BodySendMode(mode%6))
		for _, m := range ms {
			m.ObservabilityMode = mode&8 != 0
			e.send(m)
		}
		close(e.to)
		if err := e.ended(); err != nil && status.Code(err) != codes.InvalidArgument {
			t.Errorf("the stream ends with %v", err)
		}
		if n := completed.Load() - before; n != counting && n != 0 {
			t.Errorf("%d completions", n)
		}
		if n := s.held.Load(); n != 0 {
			t.Errorf("%d bytes are still accounted for", n)
		}
		deadline := time.Now().Add(30 * time.Second)
		for runtime.NumGoroutine() > 20 && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		if n := runtime.NumGoroutine(); n > 50 {
			t.Errorf("%d goroutines", n)
		}
	})
}
