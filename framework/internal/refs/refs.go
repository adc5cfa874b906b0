// Package refs counts references: to a chain, to a configuration, to what many share and the last one closes. A [Table]
// has what is made once for a key and shared.
package refs

import "sync/atomic"

// Count is a number of references. The zero Count holds one, its maker's. Its methods may be called from any goroutine.
type Count struct {
	more atomic.Int64 // the references beside the first; -1 once all are released
}

// Acquire takes a reference and reports whether that succeeded: it fails once all are released. Every successful acquire
// needs a release.
func (c *Count) Acquire() bool {
	for {
		n := c.more.Load()
		if n < 0 {
			return false
		}
		if c.more.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release drops a reference and reports whether it was the last: then the caller ends what was counted. It panics when
// there is none to drop.
func (c *Count) Release() (last bool) {
	n := c.more.Add(-1)
	if n < -1 {
		panic("refs: released more often than acquired")
	}
	return n == -1
}
