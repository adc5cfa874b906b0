package inproc

import "fmt"

// Slots are the objects of one thread, which C knows by slot and life; slot 0 is none. Only that thread may use them.
type Slots[S any] struct {
	all  []slot[S]
	free []uint32
}

type slot[S any] struct {
	object *S
	life   uint32
	taken  bool
}

// At returns the object in a slot. It panics where that is not in that life, as somebody has kept its number for too long.
func (s *Slots[S]) At(at, life uint32) *S {
	object := s.Find(at, life)
	if object == nil {
		panic(fmt.Sprintf("life %d in slot %d is over", life, at))
	}
	return object
}

// Find is At for one that may be over, which is nil.
func (s *Slots[S]) Find(at, life uint32) *S {
	if at == 0 || int(at) > len(s.all) || !s.all[at-1].taken || s.all[at-1].life != life {
		return nil
	}
	return s.all[at-1].object
}

// Take returns a free slot, the number of the life that begins in it, and the object in it: a zero one, or as it was when
// the slot was given back.
func (s *Slots[S]) Take() (at, life uint32, object *S) {
	if n := len(s.free); n > 0 {
		at = s.free[n-1]
		s.free = s.free[:n-1]
	} else {
		s.all = append(s.all, slot[S]{object: new(S)})
		at = uint32(len(s.all))
	}
	e := &s.all[at-1]
	e.taken = true
	e.life++
	return at, e.life, e.object
}

// Give ends the life in a slot.
func (s *Slots[S]) Give(at uint32) {
	s.all[at-1].taken = false
	s.free = append(s.free, at)
}
