package deadline

import (
	"testing"
	"time"
)

func TestList(t *testing.T) {
	expired := make(chan string, 9)
	var l List[string]
	l.Init(20*time.Millisecond, func(v string) { expired <- v })
	next := func(want string) {
		t.Helper()
		select {
		case got := <-expired:
			if got != want {
				t.Errorf("the wait %q expired, want %q", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no wait expires, want %q", want)
		}
	}

	var ended, first, again, second Wait[string]
	l.Begin(&ended, "ended")
	l.Begin(&first, "first")
	l.Begin(&again, "again")
	l.Begin(&second, "second")
	if l.End(&ended) {
		t.Error("End reports that a wait had expired, which was ended in time")
	}
	l.Begin(&again, "again, anew")
	next("first")
	next("second")
	next("again, anew")
	if !l.End(&first) || !l.End(&again) {
		t.Error("End does not report that a wait had expired")
	}

	l.Begin(&first, "after a pause")
	next("after a pause")
	l.Begin(&first, "in time")
	if l.End(&first) {
		t.Error("End reports that a wait had expired, which expired in its life before")
	}
	if l.first != nil || l.last != nil {
		t.Errorf("a list without waits is %v … %v, want empty", l.first, l.last)
	}
	select {
	case v := <-expired:
		t.Errorf("%q expired, which was ended", v)
	case <-time.After(60 * time.Millisecond):
	}
}
