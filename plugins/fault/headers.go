package fault

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
)

// The headers are those of Envoy's own fault filter. One with a percentage says for how many requests the other is meant.
const (
	delayHeader     = "x-envoy-fault-delay-request"                  // milliseconds
	delayShare      = "x-envoy-fault-delay-request-percentage"       // of a hundred
	abortHeader     = "x-envoy-fault-abort-request"                  // a status
	abortShare      = "x-envoy-fault-abort-request-percentage"       // of a hundred
	bandwidthHeader = "x-envoy-fault-throughput-response"            // KiB a second
	bandwidthShare  = "x-envoy-fault-throughput-response-percentage" // of a hundred
)

var headers = [...]string{delayHeader, delayShare, abortHeader, abortShare, bandwidthHeader, bandwidthShare}

// read takes over the faults that a request asks for, as far as they are within the bounds. Others are counted.
func (b *ByHeader) read(h filter.RequestHeaders, f *faults, refused *filter.Counter) {
	number := func(name, share string) (n int64, ok bool) {
		if !h.Has(name) {
			return 0, false
		}
		values := h.Values(name)
		n, err := strconv.ParseInt(strings.TrimSpace(values[0]), 10, 64)
		if err != nil || n < 0 || len(values) > 1 {
			refused.Inc()
			return 0, false
		}
		if !h.Has(share) {
			return n, true
		}
		percent, err := strconv.ParseFloat(h.Get(share), 64)
		if err != nil || !(percent >= 0 && percent <= 100) {
			refused.Inc()
			return 0, false
		}
		return n, rand.Float64()*100 < percent
	}
	if ms, ok := number(delayHeader, delayShare); ok {
		if most := b.MaxDelay.Milliseconds(); ms > most {
			refused.Inc()
		} else {
			f.delay = time.Duration(ms) * time.Millisecond
		}
	}
	if status, ok := number(abortHeader, abortShare); ok {
		if !slices.Contains(b.Statuses, int(min(status, 1000))) {
			refused.Inc()
		} else {
			action := (&Abort{Status: int(status), Body: "fault injected"}).action()
			f.abort = &action
		}
	}
	if kib, ok := number(bandwidthHeader, bandwidthShare); ok {
		if rate := filter.Size(min(kib, 1<<40)) << 10; b.MinBandwidth == 0 || rate < b.MinBandwidth {
			refused.Inc()
		} else {
			f.response = rate
		}
	}
}

// removeHeaders takes the headers off, so that no Envoy behind this one goes by them.
func removeHeaders(h filter.RequestHeaders) {
	for _, name := range headers {
		if h.Has(name) {
			h.Del(name)
		}
	}
}
