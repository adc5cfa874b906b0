package envoytest

import (
	"fmt"
	"strings"
)

// Labels writes "a=1;b=2", as hosts have tags in a metric's name, in the way of Prometheus.
func Labels(tags string) string {
	var all []string
	for t := range strings.SplitSeq(tags, ";") {
		if k, v, ok := strings.Cut(t, "="); ok {
			all = append(all, fmt.Sprintf("%s=%q", k, v))
		}
	}
	return strings.Join(all, ",")
}
