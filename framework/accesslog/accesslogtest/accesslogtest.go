// Package accesslogtest is the in-memory host for unit tests of access loggers:
//
//	log, err := accesslogtest.New[Slow](t, "above: 10ms")
//	accesslogtest.Entry{Times: accesslog.Times{End: time.Second}}.Log(log)
package accesslogtest

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"mosn.io/moe/framework/accesslog"
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/testhost"
)

var newEntry = accesslog.Internals(core.Internal{}).NewEntry

// New makes the access logger whose registered struct is T from a configuration as an operator writes it, YAML or JSON:
// decoded strictly, validated, provisioned. It is closed when the test ends. The error is what an operator would see.
func New[T any](t testing.TB, conf string) (*T, error) {
	t.Helper()
	return testhost.New[T](t, "accesslogtest", testhost.Of[T](extension.Bases(accesslog.Registrations())), conf)
}

// Entry is what Envoy knows in a test. What is not in it Envoy has no value for; the zero Times are those of a stream
// that began and ended at once.
type Entry struct {
	Event   accesslog.Event
	Texts   map[accesslog.TextField]string
	Numbers map[accesslog.NumberField]uint64
	Truths  map[accesslog.TruthField]bool
	Addrs   map[accesslog.AddrField]netip.AddrPort
	Lists   map[accesslog.ListField][]string
	Dates   map[accesslog.TimeField]time.Time // of certificates
	Flags   accesslog.Flags
	Times   accesslog.Times
	Bytes   accesslog.Bytes

	RequestHeaders, ResponseHeaders, ResponseTrailers [][2]string // names in lower case

	Metadata map[string]map[string]any // by namespace and path
}

// Log has l log the entry, as Envoy does. The entry that l is given ends with the call.
func (e Entry) Log(l accesslog.Logger) {
	s := &source{e: e}
	defer s.over.Store(true)
	l.Log(newEntry(s, 1, e.Event))
}

type source struct {
	e    Entry
	over atomic.Bool
}

// entry is empty once Log has returned.
func (s *source) entry() Entry {
	if s.over.Load() {
		return Entry{}
	}
	return s.e
}

// Texts is accesslog.Source's.
func (s *source) Texts(_ uint64, fields []accesslog.TextField, into []string) {
	e := s.entry()
	for i, f := range fields {
		into[i] = e.Texts[f]
	}
}

// Number is accesslog.Source's.
func (s *source) Number(_ uint64, f accesslog.NumberField) uint64 { return s.entry().Numbers[f] }

// Truth is accesslog.Source's.
func (s *source) Truth(_ uint64, f accesslog.TruthField) bool { return s.entry().Truths[f] }

// Addr is accesslog.Source's.
func (s *source) Addr(_ uint64, f accesslog.AddrField) (string, uint16) {
	a, ok := s.entry().Addrs[f]
	if !ok {
		return "", 0
	}
	return a.Addr().String(), a.Port()
}

// List is accesslog.Source's.
func (s *source) List(_ uint64, f accesslog.ListField) []string { return s.entry().Lists[f] }

// Time is accesslog.Source's.
func (s *source) Time(_ uint64, f accesslog.TimeField) int64 {
	t, ok := s.entry().Dates[f]
	if !ok {
		return 0
	}
	return t.Unix()
}

// Flags is accesslog.Source's.
func (s *source) Flags(uint64) accesslog.Flags { return s.entry().Flags }

// Times is accesslog.Source's.
func (s *source) Times(uint64) accesslog.Times { return s.entry().Times }

// Bytes is accesslog.Source's.
func (s *source) Bytes(uint64) accesslog.Bytes { return s.entry().Bytes }

// Header is accesslog.Source's.
func (s *source) Header(number uint64, block int, name string) (string, bool) {
	for _, f := range s.Headers(number, block) {
		if f.Name == name {
			return f.Value, true
		}
	}
	return "", false
}

// Headers is accesslog.Source's.
func (s *source) Headers(_ uint64, block int) (fields []core.Field) {
	e := s.entry()
	for _, f := range map[int][][2]string{0: e.RequestHeaders, 2: e.ResponseHeaders, 3: e.ResponseTrailers}[block] {
		fields = append(fields, core.Field{Name: f[0], Value: f[1]})
	}
	return fields
}

// Metadata is accesslog.Source's.
func (s *source) Metadata(_ uint64, namespace, path string) (any, bool) {
	v, ok := s.entry().Metadata[namespace][path]
	return v, ok
}
