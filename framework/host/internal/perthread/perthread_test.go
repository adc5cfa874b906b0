package perthread

import (
	"sync"
	"testing"
)

func TestTable(t *testing.T) {
	var table Table[int]
	var wg sync.WaitGroup
	for i := range uint32(8) {
		wg.Go(func() {
			for range 1000 {
				*table.Of(i)++
			}
		})
	}
	wg.Wait()
	for i := range uint32(8) {
		if n := *table.Of(i); n != 1000 {
			t.Errorf("thread %d: %d", i, n)
		}
	}
}

func TestSlots(t *testing.T) {
	var s Slots[string]
	a, first := s.Take()
	b, second := s.Take()
	if a == 0 || b == 0 || a == b || s.At(a) != first || s.At(b) != second {
		t.Fatal(a, b)
	}
	*first = "used"
	s.Give(a)
	if again, object := s.Take(); again != a || *object != "used" {
		t.Error(again, *object)
	}
	if c, object := s.Take(); c == a || c == b || *object != "" {
		t.Error(c, *object)
	}
}

func BenchmarkOf(b *testing.B) {
	var table Table[int]
	b.ReportAllocs()
	for b.Loop() {
		*table.Of(1)++
	}
}
