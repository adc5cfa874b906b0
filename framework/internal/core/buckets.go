package core

import (
	"strconv"
	"sync"
)

// Buckets is a histogram that may be recorded with every request: it costs a few additions, where Envoy's own take a
// call into Envoy for each value. Hosts hand it over as the counters that Prometheus makes of a histogram: NAME_bucket
// with a tag le, NAME_sum and NAME_count.
type Buckets struct {
	histogram Metric // of the totals
	bounds    []int64
	texts     []string // of le
	parts     [3]Metric

	mu    sync.Mutex
	cells []*BucketCell
}

// BucketCell is a histogram's series.
type BucketCell struct {
	b     *Buckets
	total *Total
	told  [3][]int64 // what parts have handed over; guarded by b.mu
	le    [][]string // the values of the tags of NAME_bucket
}

// NewBuckets returns the histogram of a definition. One process has one for each name.
func NewBuckets(d *Definition) *Buckets {
	b := &Buckets{histogram: Metric{Kind: Histogram, Name: d.Name, Tags: d.Tags}, bounds: d.Bounds}
	for _, bound := range d.Bounds {
		b.texts = append(b.texts, strconv.FormatInt(bound, 10))
	}
	b.texts = append(b.texts, "+Inf")
	for i, suffix := range []string{"_bucket", "_sum", "_count"} {
		m := &b.parts[i]
		m.Name, m.Tags, m.Lazy = d.Name+suffix, d.Tags, true
		m.collect = func(emit func(Sample)) { b.collect(i, emit) }
	}
	b.parts[0].Tags = append(append([]string(nil), d.Tags...), "le")
	return b
}

// Metrics returns the counters that hosts are to declare and to flush.
func (b *Buckets) Metrics() []*Metric { return []*Metric{&b.parts[0], &b.parts[1], &b.parts[2]} }

// Cell returns a new cell for values, of which there is one for the same values.
func (b *Buckets) Cell(values ...string) *BucketCell {
	c := &BucketCell{b: b, total: totals.bounded(&b.histogram, values, b.bounds)}
	for i := range c.told {
		c.told[i] = make([]int64, 1)
	}
	c.told[0] = make([]int64, len(b.texts))
	for _, le := range b.texts {
		c.le = append(c.le, append(append([]string(nil), values...), le))
	}
	b.mu.Lock()
	b.cells = append(b.cells, c)
	b.mu.Unlock()
	for i := range c.le { // so that hosts that declare ahead know them
		b.parts[0].know(c.le[i])
	}
	b.parts[1].know(values)
	b.parts[2].know(values)
	return c
}

// know has Cells list values.
func (m *Metric) know(values []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known = append(m.known, &Cell{values: values})
}

// Record adds a value.
func (c *BucketCell) Record(v int64) {
	c.total.record(v)
	for i := range c.b.parts {
		c.b.parts[i].markChanged()
	}
}

// collect hands over what a part has come to since the last time.
func (b *Buckets) collect(part int, emit func(Sample)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.cells {
		told := c.told[part]
		tell := func(i int, values []string, n int64) {
			if d := n - told[i]; d != 0 {
				told[i] = n
				emit(Sample{values, d})
			}
		}
		if part == 1 {
			tell(0, c.total.Values, c.total.Sum())
			continue
		}
		sofar := int64(0)
		for i := range c.total.buckets {
			sofar += c.total.buckets[i].Load()
			if part == 0 {
				tell(i, c.le[i], sofar)
			}
		}
		if part == 2 {
			tell(0, c.total.Values, sofar)
		}
	}
}
