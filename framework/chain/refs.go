package chain

import (
	"context"
	"errors"
)

// Acquire takes a reference to the chain and what it consists of, for a stream that is to switch to it. It reports false
// once all references are released. The maker of a chain has the first one; every successful acquire needs a release.
func (c *Chain) Acquire() bool { return c.refs.Acquire() }

// Release drops a reference, and reports whether it was the last.
func (c *Chain) Release() (last bool) { return c.refs.Release() }

// releaseFromStream drops the reference of a stream that switched to the chain.
func (c *Chain) releaseFromStream() {
	if c.Release() && c.options.Unused != nil {
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
