// Package fakeenvoy plays Envoy's part of the Golang ABI in a test's own process, as far as streams of headers need it,
// so that the host's Go side runs under the race detector, which cannot run inside of Envoy.
package fakeenvoy

/*
#cgo LDFLAGS: -Wl,--export-dynamic
#include "fake.h"
#include "../../limits.h"
*/
import "C"

import (
	"errors"
	"runtime"
	"time"
)

// Configure gives the host a filter's configuration, the wire format of an Any, and returns its number.
func Configure(plugin string, config []byte) (uint64, error) { return configure(plugin, config, 0) }

// ConfigureRoute is [Configure] for a virtual host, a route or a weighted cluster.
func ConfigureRoute(plugin string, config []byte) (uint64, error) {
	return configure(plugin, config, 1)
}

func configure(plugin string, config []byte, ofRoute C.int) (uint64, error) {
	id := uint64(C.fake_configure(C.CString(plugin), C.size_t(len(plugin)), C.CBytes(config), C.size_t(len(config)), ofRoute))
	if id == 0 {
		return 0, errors.New("refused")
	}
	return id, nil
}

// BodyWaits has the process play a bridge that sends on a body only with Envoy's next event, or a contrib Envoy.
func BodyWaits(yes bool) {
	var limits C.uint64_t
	if yes {
		limits = C.GOLANG_LIMIT_BODY_WAITS
	}
	C.fake_limit(limits)
}

// Merge has the host put child over parent, as Envoy does level by level for a stream, and returns the number of both.
func Merge(plugin string, parent, child uint64) uint64 {
	return uint64(C.fake_merge(C.CString(plugin), C.size_t(len(plugin)), C.uint64_t(parent), C.uint64_t(child)))
}

// Forget destroys a configuration.
func Forget(id uint64) { C.fake_forget(C.uint64_t(id)) }

// Outcome is what has become of a stream.
type Outcome struct {
	Status int // the last answer to Envoy about the request's headers: 2 is Continue
	Reply  int // the status of a local reply, or 0
	Set    int // how many headers were set
}

// Stream runs one on this goroutine's thread: the request's headers, and what the host asks for until it lets them go
// on or patience is over; then the stream is destroyed. Many may run at once.
func Stream(config uint64, patience time.Duration) Outcome { return stream(config, patience, 0) }

// BriefStream is [Stream] for one that Envoy destroys from within a local reply.
func BriefStream(config uint64, patience time.Duration) Outcome { return stream(config, patience, 1) }

func stream(config uint64, patience time.Duration, brief C.int) Outcome {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s := C.fake_stream_new(C.uint64_t(config), brief)
	deadline := time.Now().Add(patience)
	status := int(C.fake_headers(s))
	for status == 0 && time.Now().Before(deadline) {
		if C.fake_serve(s) == 0 {
			time.Sleep(50 * time.Microsecond)
		}
		status = int(C.fake_status(s))
	}
	o := Outcome{status, int(C.fake_replied(s)), int(C.fake_set(s))}
	C.fake_destroy(s)
	return o
}
