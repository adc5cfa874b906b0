package chain

import (
	"context"
	"errors"
)

// Hold keeps what the chain consists of, for a stream that is to go on with it, until the stream is done. It reports
// false when the chain has been let go of. A chain is held once when it is made.
func (c *Chain) Hold() bool {
	for {
		n := c.holds.Load()
		if n == 0 {
			return false
		}
		if c.holds.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Let undoes one Hold, or the making, and reports whether it was the last.
func (c *Chain) Let() (last bool) { return c.holds.Add(-1) == 0 }

// leave lets go of the chain that a stream has joined.
func (c *Chain) leave() {
	if c.Let() && c.options.Unused != nil {
		c.options.Unused()
	}
}

// notReady is the error of [NotReady].
type notReady func(context.Context) error

// Error is that of error.
func (notReady) Error() string { return "the consumer's chain is not ready" }

// call guards against a panic of what makes the chain.
func (w notReady) call(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errors.New("panic while the chain was made")
		}
	}()
	return w(ctx)
}

// NotReady is what ForConsumer returns where the chain must be made first. The stream waits for wait, which runs on a
// goroutine, and asks again.
func NotReady(wait func(context.Context) error) error { return notReady(wait) }
