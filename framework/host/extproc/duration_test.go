package extproc

import (
	"strconv"
	"testing"
	"time"
)

// A duration is milliseconds with a fraction, as in the other hosts and in the documentation of filter.Stream.Attr.
func TestDurationIsInMilliseconds(t *testing.T) {
	s := &grpcStream{begun: time.Now().Add(-1500 * time.Millisecond)}
	text, err := s.Attribute("request.duration")
	if err != nil {
		t.Fatalf("request.duration: %v", err)
	}
	if ms, err := strconv.ParseFloat(text, 64); err != nil || ms < 1500 || ms > 60_000 {
		t.Errorf("request.duration of a stream of 1.5 s is %q, want about 1500", text)
	}
}
