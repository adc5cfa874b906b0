package extension

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// ConsumerSet is for the framework's own packages: the consumers that plugins find, which may change. Its methods may
// be called from any goroutine.
type ConsumerSet struct {
	mu        sync.Mutex
	now       atomic.Pointer[consumers]
	followers map[*ConsumerFollower]struct{}
}

type consumers struct {
	list   []*Consumer
	byName map[string]*Consumer
}

// ConsumerFollower prepares what it keeps for new consumers. If every follower of a set succeeds, all are ended with
// commit true; if one fails, the others are ended with false, to undo what they have prepared. It must not call the set.
type ConsumerFollower func([]*Consumer) (end func(commit bool), err error)

func newConsumerSet(list []*Consumer) (*ConsumerSet, error) {
	s := &ConsumerSet{followers: map[*ConsumerFollower]struct{}{}}
	return s, s.Replace(list)
}

// Replace has list take the place of the consumers that there are. After an error all is as it was.
func (s *ConsumerSet) Replace(list []*Consumer) error {
	next := &consumers{list: list, byName: make(map[string]*Consumer, len(list))}
	for _, c := range list {
		if next.byName[c.Name] != nil {
			return fmt.Errorf("duplicate consumer name %q", c.Name)
		}
		next.byName[c.Name] = c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ends := make([]func(commit bool), 0, len(s.followers))
	commit := false
	defer func() { // also when a follower panics
		for _, end := range ends {
			end(commit)
		}
	}()
	for f := range s.followers {
		end, err := (*f)(list)
		if err != nil {
			return err
		}
		ends = append(ends, end)
	}
	s.now.Store(next)
	commit = true
	return nil
}

// Follow has f follow the set, beginning with the consumers that there are now, until stop is called. After an error f
// does not follow.
func (s *ConsumerSet) Follow(f ConsumerFollower) (stop func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end, err := f(s.now.Load().list)
	if err != nil {
		return nil, err
	}
	end(true)
	s.followers[&f] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.followers, &f)
	}, nil
}

// Find returns the consumer of that name, or nil.
func (s *ConsumerSet) Find(name string) *Consumer { return s.now.Load().byName[name] }

// Len returns how many consumers there are.
func (s *ConsumerSet) Len() int { return len(s.now.Load().list) }

// noConsumers is the set of an Env that was given none.
var noConsumers, _ = newConsumerSet(nil)

// Consumer returns the listed consumer of that name as it is now, or nil. It takes no lock and allocates nothing.
func (e *Env) Consumer(name string) *Consumer { return e.consumers.Find(name) }

// follow has f follow the Env's consumers until it is closed.
func (e *Env) follow(f ConsumerFollower) error {
	stop, err := e.consumers.Follow(f)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stops = append(e.stops, stop)
	return nil
}
