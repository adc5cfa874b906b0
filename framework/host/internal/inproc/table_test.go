package inproc

import (
	"fmt"
	"sync"
	"testing"
)

func TestTableNumbersObjects(t *testing.T) {
	var table Table[string]
	told := uint32(0)
	a := table.Add("a", func(id uint32) { told = id })
	b := table.Add("b", nil)
	if a == 0 || a == b || told != a {
		t.Fatalf("numbers %d (told %d) and %d, want two that are not 0", a, told, b)
	}
	for id, want := range map[uint32]string{a: "a", b: "b", 99: ""} {
		t.Run(fmt.Sprint(id), func(t *testing.T) {
			if got := table.Get(id); got != want {
				t.Errorf("Get(%d) gives %q, want %q", id, got, want)
			}
		})
	}
	if got := table.Remove(a); got != "a" {
		t.Errorf("Remove gives %q, want a", got)
	}
	if got := table.Get(a) + table.Remove(a); got != "" {
		t.Errorf("what was removed is still there: %q", got)
	}
	if c := table.Add("c", nil); c == a || c == b {
		t.Errorf("number %d is used again", c)
	}
}

func TestTableMakesEachObjectOnce(t *testing.T) {
	var table Table[*int]
	var wg sync.WaitGroup
	for i := range uint32(8) {
		wg.Go(func() {
			for range 1000 {
				*table.Of(i+1, newInt)++
			}
		})
	}
	wg.Wait()
	for i := range uint32(8) {
		if got := *table.Get(i + 1); got != 1000 {
			t.Errorf("object %d was used %d times, want 1000", i, got)
		}
	}
}

func BenchmarkOf(b *testing.B) {
	var table Table[*int]
	table.Of(1, newInt)
	b.ReportAllocs()
	for b.Loop() {
		*table.Of(2, newInt)++
	}
}

func newInt(uint32) *int { return new(int) }
