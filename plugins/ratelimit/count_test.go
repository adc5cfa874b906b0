package ratelimit

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// algorithms are all of them, for limit units in per.
func algorithms(limit, burst uint32, per time.Duration) map[string]algorithm {
	return map[string]algorithm{
		"bucket": newBucket(limit, burst, per), "fixed": fixed{limit, int64(per)}, "sliding": sliding{limit, int64(per)},
	}
}

// Whatever comes when: over any time no more passes than the limit says, a refused request passes after the wait that
// the verdict names and not before, and what is left is what passes.
func TestNeverMoreThanTheLimit(t *testing.T) {
	const per = time.Second
	for _, limit := range []uint32{1, 3, 10, 1000} {
		for name, a := range algorithms(limit, limit, per) {
			t.Run(fmt.Sprintf("%s of %d", name, limit), func(t *testing.T) {
				r := rand.New(rand.NewPCG(1, uint64(limit)))
				var c count
				now := int64(1)
				type use struct{ at, units int64 }
				var used []use
				for range 20_000 {
					now += r.Int64N(int64(per) / int64(limit) * 2)
					if r.IntN(1000) == 0 {
						now += int64(per) * r.Int64N(4)
					}
					cost := 1 + r.Uint32N(max(1, limit/4))
					before := c
					v := a.take(&c, now, cost, 0)
					if !v.ok {
						again := before
						if w := a.take(&again, now+int64(v.wait)-1, cost, 0); w.ok && v.wait > 0 {
							t.Fatalf("passes before the wait of %v is over", v.wait)
						}
						again = before
						if w := a.take(&again, now+int64(v.wait), cost, 0); !w.ok {
							t.Fatalf("refused after the wait of %v: %+v", v.wait, w)
						}
						if c.now > before.now {
							t.Fatal("a refused request is counted")
						}
						continue
					}
					used = append(used, use{now, int64(cost)})
					if v.remaining > 0 && uint32(v.remaining) <= limit {
						again := c
						if w := a.take(&again, now, uint32(v.remaining), 0); !w.ok {
							t.Fatalf("%d are said to be left, and are refused", v.remaining)
						}
					}
					if again := c; uint32(v.remaining) < limit {
						if w := a.take(&again, now, uint32(v.remaining)+1, 0); w.ok {
							t.Fatalf("%d are said to be left, and one more passes", v.remaining)
						}
					}
				}
				// In per: a bucket and windows that are fixed can give twice the limit, where one ends and the next begins; a
				// window that slides, as it only weighs the one before, gives less than that.
				most := 2 * int64(limit)
				sum, first := int64(0), 0
				total := int64(0)
				for _, u := range used {
					for sum += u.units; used[first].at <= u.at-int64(per); first++ {
						sum -= used[first].units
					}
					if total += u.units; sum > most {
						t.Fatalf("%d units within %v, want %d at most", sum, per, most)
					}
				}
				if limits := int64(limit) * (now/int64(per) + 2); total > limits || total < limits/10 {
					t.Errorf("%d units in %v, want up to %d, and not much less", total, time.Duration(now), limits)
				}
			})
		}
	}
}

// Under a load that is steady and too much, exactly the limit passes.
func TestSteadyLoad(t *testing.T) {
	const per, limit, seconds = time.Second, 100, 50
	for name, a := range algorithms(limit, limit, per) {
		t.Run(name, func(t *testing.T) {
			var c count
			passed := 0
			for now := int64(1); now < seconds*int64(per); now += int64(per) / (10 * limit) {
				if a.take(&c, now, 1, 0).ok {
					passed++
				}
			}
			if passed < limit*seconds*98/100 || passed > limit*(seconds+1) {
				t.Errorf("%d pass in %d s of %d a second", passed, seconds, limit)
			}
		})
	}
}

// A clock that is set to another time lets at most one limit more pass, and locks nobody out for longer than it would have
// anyway.
func TestClockJumps(t *testing.T) {
	const per, limit = time.Second, 10
	const year = int64(366 * 24 * time.Hour)
	jumps := map[string]int64{
		"a year back": -year, "a year on": year, "a window back": -int64(per), "a window on": int64(per), "a moment back": -1,
	}
	for name, a := range algorithms(limit, limit, per) {
		for way, jump := range jumps {
			t.Run(name+" "+way, func(t *testing.T) {
				var c count
				now := 2 * year
				exhaust := func() (n int) {
					for a.take(&c, now, 1, 0).ok {
						if n++; n > 10*limit {
							t.Fatal("there is no limit")
						}
					}
					return n
				}
				exhaust()
				now += jump
				if n := exhaust(); n > limit {
					t.Errorf("%d pass after the jump, want %d at most", n, limit)
				}
				now += 2 * int64(per)
				if n := exhaust(); n != limit {
					t.Errorf("%d pass two windows after the jump, want %d", n, limit)
				}
			})
		}
	}
}

func TestBucket(t *testing.T) {
	const ms = int64(time.Millisecond)
	b := newBucket(10, 3, time.Second)
	var c count
	for _, step := range []struct {
		name string
		want verdict
	}{
		{"first", verdict{ok: true, remaining: 2, reset: 100 * time.Millisecond}},
		{"second", verdict{ok: true, remaining: 1, reset: 200 * time.Millisecond}},
		{"last of the bucket", verdict{ok: true, reset: 300 * time.Millisecond}},
		{"delayed", verdict{ok: true, reset: 400 * time.Millisecond, wait: 100 * time.Millisecond}},
		{"delayed longer", verdict{ok: true, reset: 500 * time.Millisecond, wait: 200 * time.Millisecond}},
		{"refused", verdict{reset: 500 * time.Millisecond, wait: 300 * time.Millisecond}},
	} {
		t.Run(step.name, func(t *testing.T) {
			if got := b.take(&c, 1000*ms, 1, 250*time.Millisecond); got != step.want {
				t.Errorf("got %+v, want %+v", got, step.want)
			}
		})
	}
	b.giveBack(&c, 1)
	if got := b.take(&c, 1000*ms, 1, 250*time.Millisecond); !got.ok || got.wait != 200*time.Millisecond {
		t.Errorf("after one is given back: got %+v, want a wait of 200ms", got)
	}
	if got := b.take(&c, 1000*ms, 4, time.Hour); got.ok || !got.never {
		t.Errorf("more than the bucket holds: got %+v, want never", got)
	}
}

// Limits that do not divide the time do not add up to more than they are.
func TestUnevenRate(t *testing.T) {
	for _, limit := range []uint32{3, 7, 999_983, 10_000_000} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			b := newBucket(limit, limit, time.Second)
			if rate := float64(time.Second) / float64(b.interval); rate > float64(limit) || rate < 0.99*float64(limit) {
				t.Errorf("got %.1f a second, want %d at most, and 1%% less at least", rate, limit)
			}
		})
	}
}

// Sums do not overflow, whatever the configuration and the cost.
func FuzzTake(f *testing.F) {
	f.Add(uint32(1), uint32(1), int64(time.Second), int64(1), int64(1), uint32(1))
	f.Fuzz(func(t *testing.T, limit, burst uint32, per, now, step int64, cost uint32) {
		r := Rule{Name: "x", Limit: limit, Burst: burst, Per: time.Duration(per), Algorithm: "tokenBucket"}
		const most = 1_000_000_000
		if limit == 0 || limit > most || burst > most || r.validate(nil) != nil || now < 1 || now > int64(longestPer) ||
			step < 0 || step > int64(longestPer) {
			return
		}
		for name, a := range algorithms(limit, r.burst(), r.Per) {
			var c count
			for i := range int64(4) {
				v := a.take(&c, now+i*step, cost, longestDelay)
				if v.wait < 0 || v.reset < 0 || v.remaining < 0 || v.remaining > most || v.never && v.ok ||
					v.never != (uint64(cost) > uint64(max(limit, r.burst())) || !v.ok && v.never) {
					t.Fatalf("%s: got %+v, want no negative number, and never only where the cost is more than fits", name, v)
				}
			}
		}
	})
}
