package dynmod

/*
#include "moe.h"
*/
import "C"

import (
	"encoding/binary"
	"unsafe"

	"mosn.io/moe/framework/internal/core"
)

const (
	verbSize   = int(unsafe.Sizeof(C.moe_verb{}))
	maxHeaders = 255 // that one verb can carry
)

// verb appends a verb with two payloads to the answer to the event under way.
func (s *stream) verb(verb uint8, a int, b int, n1, n2 int) (p1, p2 []byte) {
	e := s.e
	need := C.size_t(verbSize + n1 + n2)
	if e.out_len+need > e.out_cap {
		C.moe_grow(e, need)
	}
	all := unsafe.Slice((*byte)(e.out), int(e.out_cap))[e.out_len:][:need]
	e.out_len += need
	all[0], all[1] = verb, uint8(a)
	binary.NativeEndian.PutUint16(all[2:], uint16(b))
	binary.NativeEndian.PutUint32(all[4:], uint32(n1))
	binary.NativeEndian.PutUint32(all[8:], uint32(n2))
	all = all[verbSize:]
	return all[:n1], all[n1:]
}

func (s *stream) headerVerb(verb uint8, block int, name, value string) {
	p1, p2 := s.verb(verb, block, 0, len(name), len(value))
	copy(p1, name)
	copy(p2, value)
}

// bytesVerb appends a verb whose payload is p.
func (s *stream) bytesVerb(verb uint8, a, b int, p []byte) {
	p1, _ := s.verb(verb, a, b, len(p), 0)
	copy(p1, p)
}

// changes writes what differs in a block from what Envoy has. Setting a header has Envoy remove its old values first,
// and index all headers by name to find them: what it cannot have is added instead.
func (s *stream) changes(block int) {
	b := &s.st.H[block]
	next := 0 // fresh fields are at the end, in the order in which they were set
	for n, name := range b.Changed {
		verb := uint8(C.VERB_SET_HEADER)
		if b.Fresh&(1<<n) != 0 {
			verb = C.VERB_ADD_HEADER
			if !b.Multi {
				if i := fieldFrom(b.Fields, next, name); i >= 0 {
					s.headerVerb(verb, block, name, b.Fields[i].Value)
					next = i + 1
				}
				continue
			}
		}
		found := false
		for i := range b.Fields {
			if f := &b.Fields[i]; f.Name == name {
				s.headerVerb(verb, block, name, f.Value)
				verb, found = C.VERB_ADD_HEADER, true
			}
		}
		if !found && verb == C.VERB_SET_HEADER {
			s.headerVerb(verb, block, name, "") // an empty value removes
		}
	}
	b.ClearChanges()
}

// fieldFrom returns the index of the field name, looking from i on first; -1 if there is none.
func fieldFrom(fields []core.Field, i int, name string) int {
	for n := range fields {
		k := i + n
		if k >= len(fields) {
			k -= len(fields)
		}
		if fields[k].Name == name {
			return k
		}
	}
	return -1
}

// pairsSize and putPairs encode header fields as C's moe_read_headers reads them.
func pairsSize(fields []core.Field) (n int) {
	for _, f := range fields {
		n += 8 + len(f.Name) + len(f.Value)
	}
	return n
}

func putPairs(p []byte, fields []core.Field) {
	for _, f := range fields {
		binary.NativeEndian.PutUint32(p, uint32(len(f.Name)))
		binary.NativeEndian.PutUint32(p[4:], uint32(len(f.Value)))
		p = p[8+copy(p[8:], f.Name):]
		p = p[copy(p, f.Value):]
	}
}

// sampleVerb carries one change of a metric.
func (s *stream) sampleVerb(kind core.MetricKind, id uint64, sample core.Sample) {
	size := 16
	for _, v := range sample.Values {
		size += 4 + len(v)
	}
	s.e.metrics = 1
	p, _ := s.verb(C.VERB_COUNTER+uint8(kind), len(sample.Values), 0, size, 0)
	binary.NativeEndian.PutUint64(p, id)
	binary.NativeEndian.PutUint64(p[8:], uint64(sample.N))
	p = p[16:]
	for _, v := range sample.Values {
		binary.NativeEndian.PutUint32(p, uint32(len(v)))
		p = p[4+copy(p[4:], v):]
	}
}
