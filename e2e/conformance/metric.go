package conformance

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Metric returns the sum over the samples of a metric whose labels include label, such as `kind="a"`; suffix, such as
// _count, is a histogram's part.
func (b *Bed) Metric(name, suffix, label string) (float64, bool) {
	b.Helper()
	page, err := b.Host.Metrics(b.Envoy)
	if err != nil {
		b.Fatal(err)
	}
	re := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(b.Host.Metric(name)+suffix) + `(\{[^}]*\})? ([0-9.e+-]+)$`)
	sum, found := 0.0, false
	for _, m := range re.FindAllStringSubmatch(page, -1) {
		if strings.Contains(m[1], label) {
			n, _ := strconv.ParseFloat(m[2], 64)
			sum, found = sum+n, true
		}
	}
	return sum, found
}

// WaitMetric waits until a counter has reached at least n, over all listeners of this Envoy.
func (b *Bed) WaitMetric(name, label string, n float64) {
	b.Helper()
	b.Poll(func() error {
		if v, ok := b.Metric(name, "", label); !ok || v < n {
			return fmt.Errorf("metric %s{%s} is %v (there: %v), want %v", name, label, v, ok, n)
		}
		return nil
	})
}
