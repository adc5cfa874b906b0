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

// writer appends to the answer to one event: what C carries out after Go has returned.
type writer struct{ e *C.moe_event }

// put appends a verb and returns the room for its two payloads.
func (w writer) put(verb uint8, a, b, n1, n2 int) (p1, p2 []byte) {
	e := w.e
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

// bytes appends a verb with one payload.
func (w writer) bytes(verb uint8, a, b int, p []byte) {
	p1, _ := w.put(verb, a, b, len(p), 0)
	copy(p1, p)
}

func (w writer) header(verb uint8, block int, name, value string) {
	p1, p2 := w.put(verb, block, 0, len(name), len(value))
	copy(p1, name)
	copy(p2, value)
}

// setHeader replaces all fields of that name; an empty value removes them.
func (w writer) setHeader(block int, name, value string) {
	w.header(C.VERB_SET_HEADER, block, name, value)
}

func (w writer) addHeader(block int, name, value string) {
	w.header(C.VERB_ADD_HEADER, block, name, value)
}

// replaceChunk puts p in the place of what Envoy has received.
func (w writer) replaceChunk(dir core.Direction, p []byte) {
	w.bytes(C.VERB_REPLACE_CHUNK, int(dir), 0, p)
}

// appendBody puts p behind what Envoy has buffered.
func (w writer) appendBody(dir core.Direction, p []byte) { w.bytes(C.VERB_APPEND, int(dir), 0, p) }

// resume sends p and has Envoy continue.
func (w writer) resume(dir core.Direction, p []byte) { w.bytes(C.VERB_RESUME, int(dir), 0, p) }

// response answers with a local reply of Envoy's.
func (w writer) response(status int, details string, fields []core.Field, body []byte) {
	w.bytes(C.VERB_DETAILS, 0, 0, []byte(details))
	p1, p2 := w.put(C.VERB_RESPONSE, len(fields), status, pairsSize(fields), len(body))
	putPairs(p1, fields)
	copy(p2, body)
}

// responseHeaders begins a response that comes in pieces.
func (w writer) responseHeaders(fields []core.Field, end bool) {
	fields = fields[:min(len(fields), maxHeaders)]
	p, _ := w.put(C.VERB_RESPONSE_HEADERS, len(fields), int(cbool(end)), pairsSize(fields), 0)
	putPairs(p, fields)
}

func (w writer) responseData(p []byte, end bool) {
	w.bytes(C.VERB_RESPONSE_DATA, 0, int(cbool(end)), p)
}

// reset ends the stream abruptly.
func (w writer) reset(details string) { w.bytes(C.VERB_RESET, 0, 0, []byte(details)) }

// sample records one change of a metric.
func (w writer) sample(kind core.MetricKind, id uint64, sample core.Sample) {
	size := 16
	for _, v := range sample.Values {
		size += 4 + len(v)
	}
	w.e.metrics = 1
	p, _ := w.put(C.VERB_COUNTER+uint8(kind), len(sample.Values), 0, size, 0)
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
	p, p2 := w.put(C.VERB_CALLOUT_START, len(fields), int(cbool(end)), 16+len(cluster)+pairsSize(fields), len(body))
	binary.NativeEndian.PutUint32(p, token)
	binary.NativeEndian.PutUint64(p[4:], timeout)
	binary.NativeEndian.PutUint32(p[12:], uint32(len(cluster)))
	copy(p[16:], cluster)
	putPairs(p[16+len(cluster):], fields)
	copy(p2, body)
}

// calloutData sends more of a request's body; id is Envoy's.
func (w writer) calloutData(id uint64, p []byte, end bool) {
	out, _ := w.put(C.VERB_CALLOUT_DATA, 0, int(cbool(end)), 8+len(p), 0)
	binary.NativeEndian.PutUint64(out, id)
	copy(out[8:], p)
}

// resetCallout gives a request up.
func (w writer) resetCallout(id uint64) {
	out, _ := w.put(C.VERB_CALLOUT_RESET, 0, 0, 8, 0)
	binary.NativeEndian.PutUint64(out, id)
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
