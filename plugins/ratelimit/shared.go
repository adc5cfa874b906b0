package ratelimit

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/guard"
	"mosn.io/moe/plugins/internal/store"
)

// Shared has counts kept in Redis, so that several Envoys share them.
type Shared struct {
	store.Redis
	// Precharge is how many units an Envoy may take in advance for a key, so that a busy key does not take a round trip
	// for each request. Near the limit it takes none; what it has left when a key is not used for a second is lost.
	Precharge uint32 `json:"precharge" default:"20" validate:"max=1000000"`
	// OnFailure says what becomes of requests while Redis does not answer: local counts in this process, with the same
	// limits, open lets them pass, and closed refuses them with errorStatus.
	OnFailure string `json:"onFailure" default:"local" enum:"local,open,closed"`
	// RetryAfter is for how long Redis is left alone once it has failed. Then one request tries it.
	RetryAfter time.Duration `json:"retryAfter" default:"500ms"`

	client store.Client
	calls  chan *ask
	ended  <-chan struct{} // closed with the configuration: nobody takes calls any more
	lease  *table          // what was taken in advance, and who is refused
	outage store.Outage
	log    func(msg string, args ...any)
	failed *filter.Counter
	trips  *filter.Counter
	leased *filter.Counter
}

// Validate checks the servers and times.
func (s *Shared) Validate() error {
	err := s.Redis.Validate()
	if s.RetryAfter < 0 || s.RetryAfter > time.Minute {
		err = errors.Join(err, errors.New("retryAfter: must be 0s to 1m"))
	}
	return err
}

//go:embed shared.lua
var script string

const (
	workers   = 4   // goroutines that call Redis
	batch     = 100 // calls in one round trip
	longLease = int64(time.Second)

	// negligible says that one part in so many of a limit may pass too much: units that are used when all of them would be there
	// again anyway.
	negligible = 1000
)

func (s *Shared) start(env *filter.Env, keys int) (err error) {
	if s.client, err = store.Open(&s.Redis, script); err != nil {
		return err
	}
	s.calls, s.lease = make(chan *ask, workers*batch), newTable(keys)
	s.failed, s.trips, s.leased = env.Counter("redis_failed"), env.Counter("redis_trips"), env.Counter("leased")
	s.log, s.ended = env.Log().Warn, env.Context().Done()
	for range workers {
		env.Go(s.work)
	}
	return nil
}

// ask is a question for Redis about some claims of one request.
type ask struct {
	calls []*store.Call
	done  chan struct{} // closed when the calls have been answered
}

// work sends what is asked, and what else is asked meanwhile with it.
func (s *Shared) work(ctx context.Context) {
	for {
		var asks []*ask
		select {
		case <-ctx.Done():
			return
		case a := <-s.calls:
			asks = append(asks, a)
		}
		calls := asks[0].calls
		for more := true; more && len(calls) < batch; {
			select {
			case a := <-s.calls:
				asks, calls = append(asks, a), append(calls, a.calls...)
			default:
				more = false
			}
		}
		limited, cancel := context.WithTimeout(ctx, s.Timeout)
		err := guard.Do(func() error {
			s.client.Run(limited, calls)
			return nil
		})
		cancel()
		for _, c := range calls {
			if err != nil {
				c.Err = err
			}
		}
		s.trips.Inc()
		for _, a := range asks {
			close(a.done)
		}
	}
}

// try reports whether Redis is to be asked now.
func (s *Shared) try(now int64) bool { return s.outage.Try(now, s.RetryAfter, s.Timeout) }

// note follows whether Redis answers.
func (s *Shared) note(err error, now int64) {
	changed := s.outage.Note(err, now, s.RetryAfter)
	switch {
	case err != nil:
		s.failed.Inc()
		if changed {
			s.log("Redis does not answer", "error", err, "onFailure", s.OnFailure)
		}
	case changed:
		s.log("Redis answers again")
	}
}

// borrowed returns whether Redis has to be asked about some of the claims, and the claim that is refused without asking.
func (s *Shared) borrowed(claims []claim) (asks bool, over *claim) {
	for i := range claims {
		c := &claims[i]
		if c.asks {
			asks = true
		} else if !c.ok {
			over = c
		}
	}
	if asks && over != nil { // those that were not asked about say nothing
		for i := range claims {
			if claims[i].asks {
				claims[i].verdict = verdict{ok: true}
				claims[i].cost = 0
			}
		}
	}
	return asks, over
}

// barred is set in count.past of a key whose requests are refused; the rest of it is the cost from which on they are.
// Otherwise count.past is what Redis has left beside the units in count.now.
const barred = 1 << 31

// borrow decides by what was taken in advance, or by a refusal that still holds. decided is whether it could.
func (s *Shared) borrow(c *claim, now int64) (decided bool) {
	if c.cost > c.rule.most() {
		c.verdict = verdict{never: true}
		return true
	}
	sh := s.lease.lock(c.key)
	defer sh.mu.Unlock()
	l := sh.look(c.key)
	if l == nil || l.until <= now {
		return false
	}
	if l.past&barred == 0 {
		c.lent = l.now
	}
	reset := time.Duration(l.until - now)
	if l.past&barred != 0 {
		if c.cost < l.past&^barred {
			return false
		}
		c.verdict = verdict{wait: reset, reset: reset}
		return true
	}
	if l.now < c.cost {
		return false
	}
	l.now -= c.cost
	c.verdict = verdict{ok: true, remaining: int64(l.now) + int64(l.past), reset: reset}
	return true
}

// lend keeps units for later requests with the key of c, for as long as the key stays in use: units that were lost while
// it is would be missing from the limit, and the more, the more processes share it.
func (s *Shared) lend(c *claim, units uint32, now int64) {
	sh := s.lease.lock(c.key)
	defer sh.mu.Unlock()
	l, _ := sh.find(c.key, now, s.lease.most)
	if l.until <= now || l.past&barred != 0 {
		*l = count{}
	}
	l.past = uint32(min(c.remaining, 1<<31-1))
	l.now += min(units, 1<<31-l.now)
	life := min(longLease, max(1, int64(c.reset)))
	if uint64(l.now)*negligible <= uint64(c.rule.most()) {
		life = longLease // or a fast rule's would be over before the next request
	}
	l.until = max(l.until, now+life)
}

// bar remembers that a cost is refused, until Redis may say otherwise.
func (s *Shared) bar(c *claim, now int64) {
	sh := s.lease.lock(c.key)
	defer sh.mu.Unlock()
	l, _ := sh.find(c.key, now, s.lease.most)
	if l.until > now && l.past&barred == 0 && l.now > 0 {
		return // there is something left for a lower cost
	}
	*l = count{until: now + min(int64(c.wait), longLease), past: barred | min(c.cost, barred-1)}
}

// fetch has Redis decide about the claims that borrow could not.
func (s *Shared) fetch(ctx context.Context, claims []claim, now func() int64) error {
	a := &ask{done: make(chan struct{})}
	for i := range claims {
		if c := &claims[i]; c.asks {
			a.calls = append(a.calls, &store.Call{Key: s.Prefix + c.name, Args: c.rule.args(c.cost, s.Precharge-min(s.Precharge, c.lent))})
		}
	}
	select {
	case s.calls <- a:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.ended:
		return errEnded
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.ended:
		return errEnded
	}
	i := 0
	for k := range claims {
		c := &claims[k]
		if !c.asks {
			continue
		}
		call := a.calls[i]
		i++
		if call.Err == nil {
			call.Err = c.settle(call.Numbers, s.Precharge)
		}
		if call.Err != nil {
			return call.Err
		}
		if extra := uint32(call.Numbers[0]) - c.cost; c.ok && extra > 0 {
			s.leased.Add(uint64(extra))
			s.lend(c, extra, now())
		} else if !c.ok {
			s.bar(c, now())
		}
	}
	return nil
}

// sweep gives back memory of keys that are forgotten.
func (s *Shared) sweep(now int64) {
	for i := range s.lease.shards {
		s.lease.shards[i].sweep(now)
	}
}

var (
	errReply = errors.New("the answer is not that of the script")
	errEnded = errors.New("the configuration is closed")
)

// settle makes a verdict of the script's answer, and believes no numbers that it cannot have returned.
func (c *claim) settle(n []int64, more uint32) error {
	const century = int64(longestFill / time.Microsecond)
	if len(n) != 4 || n[0] < 0 || n[0] > int64(c.cost)+int64(more) || n[0] > 0 && n[0] < int64(c.cost) {
		return errReply
	}
	for _, v := range n[1:] {
		if v < 0 || v > 2*century {
			return errReply
		}
	}
	micros := func(v int64) time.Duration { return time.Duration(v) * time.Microsecond }
	c.verdict = verdict{ok: n[0] > 0, wait: micros(n[1]), remaining: n[2], reset: micros(n[3])}
	if c.ok && c.wait > c.rule.MaxDelay+time.Millisecond {
		return errReply
	}
	return nil
}

// args are those of the script.
func (r *Rule) args(cost, more uint32) []any {
	name := "bucket"
	switch r.Algorithm {
	case "fixedWindow":
		name = "fixed"
	case "slidingWindow":
		name = "sliding"
	}
	return []any{name, r.Limit, r.Per.Microseconds(), r.most(), cost, more, r.MaxDelay.Microseconds()}
}

// prefixOf returns what the names of a rule's keys are hashed with: rules that are alike in it share their counts.
func (r *Rule) prefixOf(id string) []byte {
	return fmt.Appendf(nil, "%q %q %s %d %d %d\n", id, r.Name, r.Algorithm, r.Limit, r.burst(), r.Per)
}

// nameOf returns the name of a key in Redis, which is short, whatever the key is.
func (r *Rule) nameOf(key []byte) string {
	h := sha256.New()
	h.Write(r.prefix)
	h.Write(key[1:]) // without the rule's number
	return "ratelimit:" + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
