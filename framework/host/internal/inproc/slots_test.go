package inproc

import "testing"

func TestSlots(t *testing.T) {
	var s Slots[string]
	a, life, first := s.Take()
	b, _, second := s.Take()
	if a == 0 || b == 0 || a == b {
		t.Fatalf("slots %d and %d, want two that are not 0", a, b)
	}
	if got := s.At(a, life); got != first {
		t.Errorf("At of the first slot gives %p, want %p", got, first)
	}
	*first = "used"
	s.Give(a)
	if got := s.Find(a, life); got != nil {
		t.Errorf("the life is over, and Find gives %q", *got)
	}
	again, next, object := s.Take()
	if again != a || next == life || *object != "used" {
		t.Errorf("Take gives slot %d, life %d with %q; want slot %d in another life than %d, as it was", again, next, *object, a, life)
	}
	if got := s.Find(a, life); got != nil {
		t.Errorf("the number of the first life leads to the second: %q", *got)
	}
	if got := s.Find(0, 0); got != nil {
		t.Errorf("slot 0 holds %q", *got)
	}
	if c, _, object := s.Take(); c == a || c == b || object == second {
		t.Errorf("Take gives slot %d again", c)
	}
}
