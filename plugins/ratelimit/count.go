package ratelimit

import (
	"math/bits"
	"time"
)

// count is what is remembered of one key. The zero count is that of a key which has not been seen.
type count struct {
	until int64  // when it is as good as forgotten, in nanoseconds of the clock
	now   uint32 // units of the present window
	past  uint32 // units of the window before
}

// verdict is what a rule says of a request.
type verdict struct {
	ok        bool
	never     bool          // it is refused whenever it comes
	wait      time.Duration // until it may pass: with ok how long it is to be delayed
	remaining int64         // units that are left now
	reset     time.Duration // until all of them are there again
}

// algorithm counts. Its methods are called with the count locked; time is that of a clock which does not jump.
type algorithm interface {
	// take counts a request that costs cost, if it may pass, now or up to patience later.
	take(c *count, now int64, cost uint32, patience time.Duration) verdict
	// giveBack undoes a take.
	giveBack(c *count, cost uint32)
}

// bucket is a bucket of tokens that fills up continuously, as the generic cell rate algorithm computes it: count.until is
// when the bucket is full again. A token bucket and GCRA decide alike; they are used with different sizes.
type bucket struct {
	interval int64  // nanoseconds for a token
	size     uint32 // tokens
}

func newBucket(limit, burst uint32, per time.Duration) bucket {
	// Rounded up, so that it is never more than the limit.
	return bucket{interval: (int64(per) + int64(limit) - 1) / int64(limit), size: burst}
}

func (b bucket) take(c *count, now int64, cost uint32, patience time.Duration) verdict {
	most := b.interval * int64(b.size)
	c.until = min(c.until, now+most+int64(patience)) // unless the clock has jumped back, it is
	full := max(c.until, now)
	v := verdict{reset: time.Duration(full - now), remaining: max(0, now+most-full) / b.interval}
	if cost > b.size {
		v.never = true
		return v
	}
	next := full + int64(cost)*b.interval
	v.wait = time.Duration(max(0, next-now-most))
	if v.ok = v.wait <= patience; v.ok {
		c.until = next
		v.reset, v.remaining = time.Duration(next-now), max(0, now+most-next)/b.interval
	}
	return v
}

func (b bucket) giveBack(c *count, cost uint32) { c.until -= int64(cost) * b.interval }

// fixed counts in windows, of which a key's first begins with its first request; count.until is the window's end.
type fixed struct {
	limit uint32
	per   int64
}

func (f fixed) take(c *count, now int64, cost uint32, _ time.Duration) verdict {
	if c.until <= now || c.until > now+f.per {
		*c = count{until: now + f.per}
	}
	v := verdict{ok: cost <= f.limit-min(c.now, f.limit), never: cost > f.limit, reset: time.Duration(c.until - now)}
	if v.ok {
		c.now += cost
	} else {
		v.wait = v.reset
	}
	v.remaining = int64(f.limit - min(c.now, f.limit))
	return v
}

func (f fixed) giveBack(c *count, cost uint32) { c.now -= min(c.now, cost) }

// sliding weighs the window before by how much of it the last per still covers. count.until is the end of the next window,
// when neither counts any more.
type sliding struct {
	limit uint32
	per   int64
}

func (s sliding) take(c *count, now int64, cost uint32, _ time.Duration) verdict {
	switch end := c.until - s.per; {
	case c.until <= now || end > now+s.per:
		*c = count{until: now + 2*s.per}
	case end <= now:
		*c = count{until: c.until + s.per, past: c.now}
	}
	left := c.until - s.per - now // of this window
	used := int64(c.now) + scale(c.past, left, s.per)
	v := verdict{ok: used+int64(cost) <= int64(s.limit), never: cost > s.limit}
	if v.ok {
		c.now += cost
		used += int64(cost)
	} else if !v.never {
		v.wait = s.wait(c, left, cost)
	}
	v.remaining = max(0, int64(s.limit)-used)
	v.reset = time.Duration(left)
	if c.now > 0 {
		v.reset += time.Duration(s.per)
	}
	return v
}

// wait returns how long it takes until cost fits, if nothing else comes.
func (s sliding) wait(c *count, left int64, cost uint32) time.Duration {
	if room := int64(s.limit) - int64(cost) - int64(c.now); room >= 0 { // the past has to go, as far as it is more than room
		return time.Duration(left - unscale(room, c.past, s.per))
	}
	// In the next window, what is the present now has to go.
	return time.Duration(left + s.per - unscale(int64(s.limit)-int64(cost), c.now, s.per))
}

func (s sliding) giveBack(c *count, cost uint32) { c.now -= min(c.now, cost) }

// scale is n·part/whole, rounded up.
func scale(n uint32, part, whole int64) int64 {
	hi, lo := bits.Mul64(uint64(n), uint64(part))
	q, r := bits.Div64(hi, lo, uint64(whole)) // part <= whole, so that hi < whole
	if r > 0 {
		q++
	}
	return int64(q)
}

// unscale is how large part may be for scale(n, part, whole) to be at most room.
func unscale(room int64, n uint32, whole int64) int64 {
	if n == 0 || room >= int64(n) {
		return whole
	}
	hi, lo := bits.Mul64(uint64(room), uint64(whole))
	q, _ := bits.Div64(hi, lo, uint64(n)) // room < n, so that hi < n
	return int64(q)
}
