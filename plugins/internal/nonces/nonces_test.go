package nonces

import (
	"testing"
	"time"
)

func TestMemory(t *testing.T) {
	m := New(3, 10*time.Second)
	start := time.Now()
	for _, c := range []struct {
		name, value string
		after       time.Duration
		want        Result
	}{
		{name: "the first", value: "a", want: Fresh},
		{name: "the first again", value: "a", want: Replayed},
		{name: "another", value: "b", after: 9 * time.Second, want: Fresh},
		{name: "of the time before", value: "a", after: 11 * time.Second, want: Replayed},
		{name: "a third", value: "c", after: 12 * time.Second, want: Fresh},
		{name: "one too many", value: "d", after: 13 * time.Second, want: Full},
		{name: "not ten seconds old", value: "b", after: 18 * time.Second, want: Replayed},
		{name: "room where two have gone", value: "d", after: 22 * time.Second, want: Fresh},
		{name: "forgotten", value: "a", after: 60 * time.Second, want: Fresh},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := start.Add(c.after)
			if got := m.Has([]byte(c.value), now, time.Time{}); got != c.want && c.want != Full {
				t.Errorf("Has: got %v, want %v", got, c.want)
			}
			if got := m.Add([]byte(c.value), now, time.Time{}); got != c.want {
				t.Errorf("Add: got %v, want %v", got, c.want)
			}
		})
	}
}

// TestClockSetBack: a value that is forgotten does not come back when its time does.
func TestClockSetBack(t *testing.T) {
	m := New(10, 10*time.Second)
	start := time.Now()
	made := start
	if got := m.Add([]byte("a"), start, made); got != Fresh {
		t.Fatalf("got %v, want Fresh", got)
	}
	for s := 11; s < 60; s += 11 { // the monotonic clock goes on
		m.Add([]byte{byte(s)}, start.Add(time.Duration(s)*time.Second), start.Add(time.Duration(s)*time.Second))
	}
	now := start.Add(60 * time.Second) // and by the wall clock it is as before
	if got := m.Add([]byte("a"), now, made); got != Forgotten {
		t.Errorf("got %v, want Forgotten", got)
	}
	if got := m.Add([]byte("new"), now, now); got != Fresh {
		t.Errorf("a new value: got %v, want Fresh", got)
	}
}
