package extproc

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// A stream that says nothing is ended, whether grpc-go's transport lets a timer do that or a goroutine must wait.
func TestSilence(t *testing.T) {
	s := newServer(t, Options{FirstMessage: 30 * time.Millisecond}, "upper")
	const want = "no message within 30ms"
	for what, conn := range map[string]*grpc.ClientConn{
		"by the timer": listen(t, s),
		"by a goroutine": listen(t, s, grpc.StreamInterceptor(
			func(srv any, g grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
				return next(srv, plain{g})
			})),
	} {
		t.Run(what, func(t *testing.T) {
			failed := s.o.Registry.server.failed.Load()
			if st := dial(t, conn, duplex).ended(); st.Code() != codes.DeadlineExceeded ||
				!strings.Contains(st.Message(), want) {
				t.Errorf("st.Code() = %v, want %v; st.Message() = %q, want it to contain %q: %s, %v",
					st.Code(), codes.DeadlineExceeded, st.Message(), want, what, st)
			}
			s.empty(t)
			equal(t, what+": failures", s.o.Registry.server.failed.Load()-failed, int64(1))
		})
	}
}

// plain hides the stream of grpc-go's transport from what looks for it in the context.
type plain struct{ grpc.ServerStream }

func (p plain) Context() context.Context { return hiding{p.ServerStream.Context()} }

type hiding struct{ context.Context }

func (h hiding) Value(key any) any {
	v := h.Context.Value(key)
	if _, is := v.(grpc.ServerTransportStream); is {
		return nil
	}
	return v
}

// The timer and the first message may come at the same time.
func TestSilenceRace(t *testing.T) {
	s := newServer(t, Options{FirstMessage: time.Millisecond}, "upper")
	conn := listen(t, s)
	for i := range 300 {
		w := dial(t, conn, duplex)
		time.Sleep(time.Duration(i%20) * 100 * time.Microsecond)
		w.send(requestHeaders(true))
		w.CloseSend()
		if st := w.ended(); st.Code() != codes.OK && st.Code() != codes.DeadlineExceeded {
			t.Fatalf("stream %d ended with %v, want OK or DeadlineExceeded", i, st)
		}
	}
	s.empty(t)
}
