package fault

import (
	"context"
	"io"
	"time"

	"mosn.io/moe/framework/filter"
)

// slow passes a body on at a rate of bytes a second, or as it comes where too many are slowed down already. A message that
// turns out to have no body never begins.
func (p *Fault) slow(rate filter.Size) filter.Action {
	return filter.Pipe(func(ctx context.Context, w io.Writer, r io.Reader) error {
		if !p.enter() {
			_, err := io.Copy(w, r)
			return err
		}
		defer p.leave()
		p.counts.slowed.Inc()
		return pace(ctx, w, r, int64(rate))
	})
}

// step is how often a piece of a body is sent at most.
const step = 50 * time.Millisecond

// pace copies r to w at a rate of bytes a second, in pieces of what the rate allows in a step.
func pace(ctx context.Context, w io.Writer, r io.Reader, rate int64) error {
	piece := make([]byte, max(1, min(rate*int64(step)/int64(time.Second), 64<<10)))
	start, sent := time.Now(), int64(0)
	for {
		n, err := r.Read(piece)
		if n > 0 {
			if now := time.Since(start); due(sent, rate) < now-step { // the peer was slow: what it has missed is lost
				start, sent = time.Now(), 0
			}
			sent += int64(n)
			if !sleep(ctx, due(sent, rate)-time.Since(start)) {
				return context.Cause(ctx)
			}
			if _, err := w.Write(piece[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// due returns how long it takes to send some bytes.
func due(bytes, rate int64) time.Duration {
	return time.Duration(float64(bytes) / float64(rate) * float64(time.Second))
}

// sleep reports whether the time has passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
