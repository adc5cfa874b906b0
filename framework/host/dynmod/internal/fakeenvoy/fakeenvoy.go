// Package fakeenvoy plays Envoy's part of the dynamic-module ABI in a test's own process, so that package dynmod runs
// under the race detector and the address sanitizer, and so that each hook can come at each moment. It is strict: what a
// module may not do is a fault; see [Faults].
package fakeenvoy

/*
#cgo CFLAGS: -std=gnu11 -O1 -g -Wall -Werror -Wno-unused-parameter -Wno-unused-function
#include <stdlib.h>
#include "fake.h"
*/
import "C"

import (
	"errors"
	"strings"
	"unsafe"
)

// Faults returns what the module has done wrong since the last call.
func Faults() []string { return lines(C.fake_faults()) }

// Log returns the module's log since the last call, warnings and errors.
func Log() []string { return lines(C.fake_log()) }

func lines(p *C.char) []string {
	if p == nil {
		return nil
	}
	defer C.free(unsafe.Pointer(p))
	return strings.Split(strings.TrimSuffix(C.GoString(p), "\n"), "\n")
}

// Thread is one of Envoy's threads: that of the caller of [NewThread], which must be locked to its goroutine. It is the
// only one that may use the thread and what belongs to it.
type Thread struct{ c *C.fake_thread }

// NewThread returns the calling thread.
func NewThread() *Thread { return &Thread{C.fake_thread_new()} }

// NewMain returns the calling thread as the main one, and loads the module there.
func NewMain() *Thread { return &Thread{C.fake_main_new()} }

// Run runs what has been posted to the thread, and returns how many events that were.
func (t *Thread) Run() int { return int(C.fake_thread_run(t.c)) }

// Config is a filter's configuration.
type Config struct{ c *C.fake_config }

// NewConfig gives the module a configuration. It is called on the main thread.
func NewConfig(main *Thread, name, document string) (*Config, error) {
	n, d := C.CString(name), C.CString(document)
	defer C.free(unsafe.Pointer(n))
	defer C.free(unsafe.Pointer(d))
	c := C.fake_config_new(main.c, n, C.size_t(len(name)), d, C.size_t(len(document)))
	if c == nil {
		return nil, errors.New("the module refuses the configuration")
	}
	return &Config{c}, nil
}

// Release gives up Envoy's own reference. The configuration ends with the last of its streams, on that one's thread.
func (c *Config) Release() { C.fake_config_release(c.c) }

// Destroyed reports whether the configuration has ended.
func (c *Config) Destroyed() bool { return bool(C.fake_config_dead(c.c)) }

// Callouts returns the callouts that run for the configuration.
func (c *Config) Callouts() []Callout { return callouts(nil, c) }

// Stream is one filter of a stream. All its methods are called on its thread.
type Stream struct {
	c   *C.fake_stream
	Tag int // every text that Envoy has for the stream is this number
}

// NewStream makes a filter of c; nil when c has ended.
func NewStream(c *Config, t *Thread, tag int) *Stream {
	s := C.fake_stream_new(c.c, t.c, C.int(tag))
	if s == nil {
		return nil
	}
	return &Stream{s, tag}
}

// Renew makes s another stream, of c.
func (s *Stream) Renew(c *Config, t *Thread) { s.c = C.fake_stream_new(c.c, t.c, C.int(s.Tag)) }

// Manners tells what happens from within callbacks: a reply or a reset ends the stream, and to continue the request
// brings its response.
func (s *Stream) Manners(endsInReply, answersInContinue bool) {
	C.fake_stream_manners(s.c, C.bool(endsInReply), C.bool(answersInContinue))
}

// The directions.
const (
	Request  = 0
	Response = 1
)

// Headers brings the headers of a direction, and returns what the module answers, as Data and Trailers do.
func (s *Stream) Headers(dir int, end bool) int {
	return int(C.fake_event(s.c, C.FAKE_HEADERS, C.int(dir), C.bool(end), nil, 0))
}

// Data brings a chunk.
func (s *Stream) Data(dir int, p string, end bool) int {
	c := C.CString(p)
	defer C.free(unsafe.Pointer(c))
	return int(C.fake_event(s.c, C.FAKE_DATA, C.int(dir), C.bool(end), c, C.size_t(len(p))))
}

// Trailers brings the trailers.
func (s *Stream) Trailers(dir int) int {
	return int(C.fake_event(s.c, C.FAKE_TRAILERS, C.int(dir), true, nil, 0))
}

// LocalReply tells of a reply of another filter's.
func (s *Stream) LocalReply() { C.fake_local_reply(s.c) }

// ClearRoute has another filter clear the route.
func (s *Stream) ClearRoute() { C.fake_clear_route(s.c) }

// Watermark tells that the client's connection is above its high watermark, or below the low one.
func (s *Stream) Watermark(high bool) { C.fake_watermark(s.c, C.bool(high)) }

// Scheduled is an event that nobody has posted.
func (s *Stream) Scheduled() { C.fake_scheduled(s.c) }

// Complete tells of the stream's end.
func (s *Stream) Complete() { C.fake_complete(s.c) }

// Destroy ends the stream. The module has no object of it any more, and hears nothing of the callouts that end with it.
func (s *Stream) Destroy() { C.fake_destroy(s.c) }

// Outcome is what has become of a stream.
type Outcome struct {
	Reply                int    // status of the module's reply, or 0
	Resets               int    // by the module
	Continued            [2]int // how often, by direction
	Out                  [2]int // bytes that have gone on
	Completed, Destroyed bool
}

// Outcome returns what has become of the stream.
func (s *Stream) Outcome() Outcome {
	o := C.fake_stream_outcome(s.c)
	return Outcome{
		Reply: int(o.reply), Resets: int(o.resets), Completed: bool(o.completed), Destroyed: bool(o.destroyed),
		Continued: [2]int{int(o.continued[0]), int(o.continued[1])}, Out: [2]int{int(o.out[0]), int(o.out[1])},
	}
}

// Header returns the values that the stream's headers of a direction have for a name.
func (s *Stream) Header(dir int, name string) []string {
	n := C.CString(name)
	defer C.free(unsafe.Pointer(n))
	p := C.fake_header(s.c, C.int(2*dir), n, C.size_t(len(name)))
	defer C.free(unsafe.Pointer(p))
	return strings.FieldsFunc(C.GoString(p), func(r rune) bool { return r == '\n' })
}

// Callouts returns the callouts that run for the stream.
func (s *Stream) Callouts() []Callout { return callouts(s, nil) }

// Callout is a request over one of Envoy's clusters.
type Callout struct {
	ID  uint64
	Tag int // of its path, "/TAG"; what answers it says that number

	stream *C.fake_stream
	config *C.fake_config
}

// Callout is a callout by its number, be there one or not.
func (s *Stream) Callout(id uint64) Callout { return Callout{ID: id, Tag: s.Tag, stream: s.c} }

func callouts(s *Stream, c *Config) (all []Callout) {
	var o Callout
	if s != nil {
		o.stream = s.c
	} else {
		o.config = c.c
	}
	var ids [256]C.uint64_t
	n := C.fake_callouts(o.stream, o.config, &ids[0], C.int(len(ids)))
	for _, id := range ids[:n] {
		o.ID, o.Tag = uint64(id), int(C.fake_callout_tag(o.stream, o.config, id))
		all = append(all, o)
	}
	return all
}

func (o Callout) hook(kind C.int, end bool) {
	C.fake_callout(o.stream, o.config, C.uint64_t(o.ID), kind, C.bool(end), C.int(o.Tag))
}

// Headers brings the response's headers, with status 200.
func (o Callout) Headers(end bool) { o.hook(C.CALLOUT_HEADERS, end) }

// Data brings a chunk of the response's body: "TAG;".
func (o Callout) Data(end bool) { o.hook(C.CALLOUT_DATA, end) }

// Trailers brings the response's trailers.
func (o Callout) Trailers() { o.hook(C.CALLOUT_TRAILERS, true) }

// Complete ends the callout.
func (o Callout) Complete() { o.hook(C.CALLOUT_COMPLETE, true) }

// Reset ends the callout without a whole response.
func (o Callout) Reset() { o.hook(C.CALLOUT_RESET, true) }

// Done is the hook of callouts of another kind, which the module does not begin.
func (o Callout) Done() { o.hook(C.CALLOUT_DONE, true) }
