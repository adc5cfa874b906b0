package core

import (
	"runtime"
	"sync"
	"unsafe"
)

// Constant is a change of a block of headers that does not depend on the stream. It replaces all values of its name, or
// removes them where Value is empty; with Add it leaves them and adds one.
type Constant struct {
	Field
	Add bool
}

// Constants are all that a chain does to the headers of one direction, where no plugin has a phase for them. They do not
// change once a host can see them.
type Constants struct {
	// Changes come in the order in which they are carried out. A change that is not an Add is the first of its name.
	Changes []Constant

	once   sync.Once
	native unsafe.Pointer
}

// Append carries more changes out after those of c.
func (c *Constants) Append(more ...Constant) {
	for _, m := range more {
		c.append(m)
	}
}

func (c *Constants) append(m Constant) {
	first := -1
	kept := c.Changes[:0]
	for _, was := range c.Changes {
		switch {
		case was.Name != m.Name || m.Add:
			if was.Name == m.Name && first < 0 {
				first = len(kept)
			}
		case first < 0: // its place is m's
			first, was = len(kept), m
		default:
			continue // m replaces what it did
		}
		kept = append(kept, was)
	}
	c.Changes = kept
	switch {
	case first < 0:
		c.Changes = append(c.Changes, m)
	case m.Add && !c.Changes[first].Add && c.Changes[first].Value == "":
		c.Changes[first].Value = m.Value
	case m.Add:
		c.Changes = append(c.Changes, m)
	}
}

// Native returns the host's own form of c: what its first call has made. It is freed when nobody can reach c any more.
func (c *Constants) Native(make func() unsafe.Pointer, free func(unsafe.Pointer)) unsafe.Pointer {
	c.once.Do(func() {
		c.native = make()
		runtime.AddCleanup(c, free, c.native)
	})
	return c.native
}
