package cache

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// The form of a resource in Redis: a version, then the entries, with numbers as varints and texts after their lengths.
const codecVersion = 1

var errCodec = errors.New("what is in Redis is not a response of this version")

func encode(entries []*entry) []byte {
	n := 16
	for _, e := range entries {
		n += int(e.size())
	}
	b := append(make([]byte, 0, n), codecVersion)
	number := func(v int64) { b = binary.AppendVarint(b, v) }
	list := func(l fields) {
		number(int64(len(l)))
		for i := range l {
			b = appendText(appendText(b, l[i].Name), l[i].Value)
		}
	}
	number(int64(len(entries)))
	for _, e := range entries {
		number(int64(e.Status))
		number(e.Received.UnixNano())
		for _, d := range []time.Duration{e.Initial, e.Lifetime, e.While, e.IfError} {
			number(int64(d))
		}
		strict := int64(0)
		if e.Strict {
			strict = 1
		}
		number(strict)
		list(e.Header)
		list(e.Vary)
		number(int64(len(e.Tags)))
		for _, t := range e.Tags {
			b = appendText(b, t)
		}
		b = binary.AppendUvarint(b, uint64(len(e.Body)))
		b = append(b, e.Body...)
	}
	return b
}

// decode reads what encode has written, and believes nothing else: numbers are within their bounds, and what is read is no
// longer than what is there.
func decode(b []byte) (entries []*entry, err error) {
	if len(b) == 0 || b[0] != codecVersion {
		return nil, errCodec
	}
	d := decoder{b: b[1:]}
	for range d.count(1000) {
		e := &entry{Status: int(d.number(200, 599)), Received: time.Unix(0, d.number(0, math.MaxInt64))}
		for _, at := range []*time.Duration{&e.Initial, &e.Lifetime, &e.While, &e.IfError} {
			*at = time.Duration(d.number(0, int64(maxDuration)))
		}
		e.Strict = d.number(0, 1) == 1
		e.Header, e.Vary = d.list(), d.list()
		for range d.count(maxTags + 1) {
			e.Tags = append(e.Tags, string(d.text()))
		}
		e.Body = d.text()
		if d.bad {
			return nil, errCodec
		}
		entries = append(entries, e)
	}
	if d.bad || len(d.b) > 0 {
		return nil, errCodec
	}
	return entries, nil
}

const maxDuration = 200 * 365 * 24 * time.Hour

type decoder struct {
	b   []byte
	bad bool
}

// number reads a number; one that is not within its bounds makes the whole bad.
func (d *decoder) number(least, most int64) int64 {
	v, n := binary.Varint(d.b)
	if d.bad || n <= 0 || v < least || v > most {
		d.bad = true
		return least
	}
	d.b = d.b[n:]
	return v
}

// count reads how many of something there are, of which each takes a byte at least.
func (d *decoder) count(most int) int {
	n := d.number(0, int64(most))
	if n > int64(len(d.b)) {
		d.bad = true
	}
	if d.bad {
		return 0
	}
	return int(n)
}

func (d *decoder) text() []byte {
	v, n := binary.Uvarint(d.b)
	if d.bad || n <= 0 || v > uint64(len(d.b)-n) {
		d.bad = true
		return nil
	}
	t := d.b[n : n+int(v) : n+int(v)]
	d.b = d.b[n+int(v):]
	return t
}

func (d *decoder) list() (l fields) {
	for range d.count(10_000) {
		name, value := string(d.text()), string(d.text())
		if d.bad || !isToken(name) {
			d.bad = true
			return nil
		}
		l = append(l, field{name, value})
	}
	return l
}
