package extproc

import (
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"mosn.io/moe/framework/metrics"
)

// latencies are upper bounds.
var latencies = [...]time.Duration{
	10 * time.Microsecond, 25 * time.Microsecond, 50 * time.Microsecond,
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 5 * time.Millisecond,
	25 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second,
}

// timing is how often something was done, and how long it took.
type timing struct {
	count, nanos atomic.Int64
	buckets      [len(latencies)]atomic.Int64
}

func (t *timing) add(d time.Duration) {
	t.count.Add(1)
	t.nanos.Add(int64(d))
	for i, bound := range latencies {
		if d <= bound {
			t.buckets[i].Add(1)
			break
		}
	}
}

// write writes a histogram in seconds, if there is anything in it.
func (t *timing) write(b *strings.Builder, name, tags string) {
	count := t.count.Load()
	if count == 0 {
		return
	}
	buckets := make([]int64, len(latencies)+1)
	for i := range latencies {
		buckets[i] = t.buckets[i].Load()
		count -= buckets[i]
	}
	buckets[len(latencies)] = max(count, 0)
	metrics.WriteHistogram(b, name, tags, buckets, func(i int) string { return seconds(latencies[i]) },
		seconds(time.Duration(t.nanos.Load())))
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'g', -1, 64) }
