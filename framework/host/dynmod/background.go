package dynmod

/*
#include "moe.h"
*/
import "C"

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"time"
)

// Requests over Envoy's clusters that belong to no stream are a configuration's, on Envoy's main thread. Envoy destroys a
// configuration on the thread that drops the last reference to it, and gives up there what the main thread still does for
// it, which it is not made for: where a filter was replaced by ECDS that is a worker, with the last stream. So destruction
// waits here until the main thread has ended the requests. See docs/design.md.

var errConfigGone = errors.New("the filter's configuration is closed")

// task is something to be done on Envoy's main thread.
type task struct {
	run  func(writer)
	drop func() // instead of run, when the configuration is gone
}

// post has Envoy's main thread run t.
func (conf *filterConfig) post(t task) error {
	conf.mu.Lock()
	c := conf.c
	if c == nil {
		conf.mu.Unlock()
		return errConfigGone
	}
	conf.tasks = append(conf.tasks, t)
	C.moe_config_use(c)
	conf.mu.Unlock()
	// Without the lock: if all others have dropped the configuration meanwhile, Envoy destroys it from within.
	C.moe_config_commit(c)
	C.moe_config_release(c)
	return nil
}

func (conf *filterConfig) callout(f func(writer, *callouts), drop func()) error {
	if conf == nil {
		return errConfigGone
	}
	return conf.post(task{run: func(w writer) {
		conf.mu.Lock()
		defer conf.mu.Unlock()
		f(w, &conf.callouts)
	}, drop: drop})
}

// configEvent is an event of a configuration, on the main thread.
func configEvent(e *C.moe_event) {
	conf := configs.Get(uint32(e.config.id))
	if conf == nil {
		return
	}
	if e.kind == C.EVENT_CONFIG_SCHEDULED {
		conf.mu.Lock()
		tasks := conf.tasks
		conf.tasks = nil
		conf.mu.Unlock()
		for _, t := range tasks {
			t.run(writer{e})
		}
		return
	}
	conf.mu.Lock()
	defer conf.mu.Unlock()
	conf.callouts.event(writer{e}, e)
	if conf.quiet != nil && len(conf.callouts.running) == 0 {
		close(conf.quiet)
		conf.quiet = nil
	}
}

// newest returns the configuration that Envoy has made last and not destroyed, or nil.
func newest() (last *filterConfig) {
	for conf := range configs.All() {
		if (last == nil || conf.id > last.id) && conf.live() {
			last = conf
		}
	}
	return last
}

func (conf *filterConfig) live() bool {
	conf.mu.Lock()
	defer conf.mu.Unlock()
	return conf.c != nil
}

// How long the destruction of a configuration waits for the main thread, and how long Envoy may speak of it afterwards.
const (
	quietTime = 5 * time.Second
	graceTime = 10 * time.Second
)

// destroy ends what the configuration does on the main thread. Nothing begins after it, and when it returns Envoy has no
// callout of the configuration.
func (conf *filterConfig) destroy() {
	conf.mu.Lock()
	c, tasks := conf.c, conf.tasks
	conf.c, conf.tasks = nil, nil
	quiet := make(chan struct{})
	var ids []uint64
	for id, callout := range conf.callouts.running {
		callout.fail(errConfigGone)
		ids = append(ids, id)
	}
	if len(ids) > 0 {
		conf.quiet = quiet
	}
	conf.mu.Unlock()
	for _, t := range tasks {
		t.drop()
	}
	if len(ids) > 0 && !bool(C.moe_on_main_thread()) && !conf.quiesce(c, ids, quiet) {
		slog.New(logger).Error("a configuration was destroyed off the main thread, which did not give its callouts up in time",
			"callouts", len(ids))
	}
	configs.Remove(conf.id)
	conf.mu.Lock()
	pending := conf.callouts.end()
	conf.quiet = nil
	conf.mu.Unlock()
	for _, callout := range pending {
		callout.fail(errConfigGone)
	}
	time.AfterFunc(graceTime, func() { C.moe_config_release(c) })
}

// quiesce has the main thread reset callouts and reports whether it has done so. The main thread is reached through the
// scheduler of another configuration, as Envoy does not post for one that it destroys; where there is none, the callouts
// may end by themselves.
func (conf *filterConfig) quiesce(c *C.moe_config, ids []uint64, quiet <-chan struct{}) bool {
	late := time.NewTimer(quietTime)
	defer late.Stop()
	var claimed atomic.Bool // by the main thread, or by this one, which gives up
	reset := make(chan struct{})
	door := newest()
	if door == nil || door.post(task{run: func(writer) {
		if claimed.Swap(true) {
			return
		}
		for _, id := range ids {
			C.moe_config_reset_callout(c, C.uint64_t(id))
		}
		close(reset)
	}, drop: func() {}}) != nil {
		select {
		case <-quiet:
			return true
		case <-late.C:
			return false
		}
	}
	// To be quiet is not enough: the main thread may still stand in a function of the configuration.
	select {
	case <-reset:
		return true
	case <-late.C:
	}
	if !claimed.Swap(true) {
		return false
	}
	<-reset
	return true
}
