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
	verbSize   = C.size_t(unsafe.Sizeof(C.moe_verb{}))
	maxHeaders = 255 // that one verb can carry
)

// writer appends to the answer to one event: what C carries out after Go has returned.
type writer struct{ e *C.moe_event }

// put appends a verb and returns the room for its payloads, n1 and then n2 bytes.
func (w writer) put(v C.moe_verb) []byte {
	e, n := w.e, C.size_t(v.n1)+C.size_t(v.n2)
	if e.out_len+verbSize+n > e.out_cap {
		C.moe_grow(e, verbSize+n)
	}
	at := unsafe.Add(unsafe.Pointer(e.out), e.out_len)
	e.out_len += verbSize + n
	*(*C.moe_verb)(at) = v
	return unsafe.Slice((*byte)(unsafe.Add(at, verbSize)), int(n))
}

func (w writer) header(verb C.uint8_t, block int, name, value string) {
	p := w.put(C.moe_verb{verb: verb, a: C.uint8_t(block), n1: C.uint32_t(len(name)), n2: C.uint32_t(len(value))})
	copy(p, name)
	copy(p[len(name):], value)
}

// setHeader replaces all fields of that name; an empty value removes them.
func (w writer) setHeader(block int, name, value string) {
	w.header(C.VERB_SET_HEADER, block, name, value)
}

func (w writer) addHeader(block int, name, value string) {
	w.header(C.VERB_ADD_HEADER, block, name, value)
}

// body appends a verb about bytes of a direction.
func (w writer) body(verb C.uint8_t, dir core.Direction, p []byte) {
	copy(w.put(C.moe_verb{verb: verb, a: C.uint8_t(dir), n1: C.uint32_t(len(p))}), p)
}

// replaceChunk puts p in the place of what Envoy has received.
func (w writer) replaceChunk(dir core.Direction, p []byte) { w.body(C.VERB_REPLACE_CHUNK, dir, p) }

// appendBody puts p behind what Envoy has buffered.
func (w writer) appendBody(dir core.Direction, p []byte) { w.body(C.VERB_APPEND, dir, p) }

// resume sends p and has Envoy continue.
func (w writer) resume(dir core.Direction, p []byte) { w.body(C.VERB_RESUME, dir, p) }

func (w writer) text(verb C.uint8_t, text string) {
	copy(w.put(C.moe_verb{verb: verb, n1: C.uint32_t(len(text))}), text)
}

// response answers with a local reply of Envoy's.
func (w writer) response(status int, details string, fields []core.Field, body []byte) {
	w.text(C.VERB_DETAILS, details)
	p := w.put(C.moe_verb{
		verb: C.VERB_RESPONSE, a: C.uint8_t(len(fields)), b: C.uint16_t(status), n1: pairsSize(fields), n2: C.uint32_t(len(body)),
	})
	copy(putPairs(p, fields), body)
}

// responseHeaders begins a response that comes in pieces.
func (w writer) responseHeaders(fields []core.Field, end bool) {
	fields = fields[:min(len(fields), maxHeaders)]
	putPairs(w.put(C.moe_verb{
		verb: C.VERB_RESPONSE_HEADERS, a: C.uint8_t(len(fields)), b: C.uint16_t(cbool(end)), n1: pairsSize(fields),
	}), fields)
}

func (w writer) responseData(p []byte, end bool) {
	copy(w.put(C.moe_verb{verb: C.VERB_RESPONSE_DATA, b: C.uint16_t(cbool(end)), n1: C.uint32_t(len(p))}), p)
}

// reset ends the stream abruptly.
func (w writer) reset(details string) { w.text(C.VERB_RESET, details) }

// sample records one change of a metric.
func (w writer) sample(kind core.MetricKind, id uint64, sample core.Sample) {
	size := 16
	for _, v := range sample.Values {
		size += 4 + len(v)
	}
	w.e.metrics = 1
	p := w.put(C.moe_verb{
		verb: C.VERB_COUNTER + C.uint8_t(kind), a: C.uint8_t(len(sample.Values)), n1: C.uint32_t(size),
	})
	binary.NativeEndian.PutUint64(p, id)
	binary.NativeEndian.PutUint64(p[8:], uint64(sample.N))
	p = p[16:]
	for _, v := range sample.Values {
		binary.NativeEndian.PutUint32(p, uint32(len(v)))
		p = p[4+copy(p[4:], v):]
	}
}

// startCallout sends a request to a cluster; Envoy reports with token what has become of that.
func (w writer) startCallout(token uint32, cluster string, fields []core.Field, body []byte, end bool, timeout uint64) {
	fields = fields[:min(len(fields), maxHeaders)]
	p := w.put(C.moe_verb{
		verb: C.VERB_CALLOUT_START, a: C.uint8_t(len(fields)), b: C.uint16_t(cbool(end)),
		n1: 16 + C.uint32_t(len(cluster)) + pairsSize(fields), n2: C.uint32_t(len(body)),
	})
	binary.NativeEndian.PutUint32(p, token)
	binary.NativeEndian.PutUint64(p[4:], timeout)
	binary.NativeEndian.PutUint32(p[12:], uint32(len(cluster)))
	copy(p[16:], cluster)
	copy(putPairs(p[16+len(cluster):], fields), body)
}

// calloutData sends more of a request's body; id is Envoy's.
func (w writer) calloutData(id uint64, p []byte, end bool) {
	out := w.put(C.moe_verb{verb: C.VERB_CALLOUT_DATA, b: C.uint16_t(cbool(end)), n1: 8 + C.uint32_t(len(p))})
	binary.NativeEndian.PutUint64(out, id)
	copy(out[8:], p)
}

// resetCallout gives a request up.
func (w writer) resetCallout(id uint64) {
	binary.NativeEndian.PutUint64(w.put(C.moe_verb{verb: C.VERB_CALLOUT_RESET, n1: 8}), id)
}

// changes writes what differs in a block from what Envoy has. Setting a header has Envoy remove its old values
// first, and index all headers by name to find them: what it cannot have is added instead.
func (w writer) changes(block int, b *core.Block) {
	next := max(0, len(b.Fields)-len(b.Changed)) // fresh fields are at the end, in the order in which they were set
	for n, name := range b.Changed {
		fresh := b.Fresh&(1<<n) != 0
		if fresh && !b.Multi {
			if i := fieldFrom(b.Fields, next, name); i >= 0 {
				w.addHeader(block, name, b.Fields[i].Value)
				next = i + 1
			}
			continue
		}
		found := fresh
		for i := range b.Fields {
			switch f := &b.Fields[i]; {
			case f.Name != name:
			case found:
				w.addHeader(block, name, f.Value)
			default:
				w.setHeader(block, name, f.Value)
				found = true
			}
		}
		if !found {
			w.setHeader(block, name, "")
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
func pairsSize(fields []core.Field) (n C.uint32_t) {
	for _, f := range fields {
		n += 8 + C.uint32_t(len(f.Name)+len(f.Value))
	}
	return n
}

// putPairs returns the rest of p.
func putPairs(p []byte, fields []core.Field) []byte {
	for _, f := range fields {
		binary.NativeEndian.PutUint32(p, uint32(len(f.Name)))
		binary.NativeEndian.PutUint32(p[4:], uint32(len(f.Value)))
		p = p[8+copy(p[8:], f.Name):]
		p = p[copy(p, f.Value):]
	}
	return p
}
